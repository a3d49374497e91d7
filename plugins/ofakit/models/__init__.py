"""The models: `ofakit.models.ofa`."""
