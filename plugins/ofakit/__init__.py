"""ofakit teaches OFA and other vision-language models to caption in a chosen style and to retrieve.

Importing it is light: no torch, no ModelScope. `import ofakit.modelscope` registers its classes with ModelScope.
"""

__version__ = "0.1.0"
