"""ofakit teaches OFA to caption images in a chosen style, from one JSON file.

Importing it is light: no torch, no ModelScope. `import ofakit.modelscope` registers its classes with ModelScope.
"""

__version__ = "0.1.0"
