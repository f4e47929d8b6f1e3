"""Rows of series.csv for tests."""

from rarelesion.series import Series

PLAIN = {
    "patient": "p-1",
    "study": "s-1",
    "frame": "f-1",
    "modality": "MR",
    "orientation": "axial",
    "slices": 20,
    "files": 20,
    "rows": 256,
    "columns": 256,
    "spacing_row_mm": 0.5,
    "spacing_column_mm": 0.5,
    "spacing_slice_mm": 4.0,
    "thickness_mm": 3.5,
    "field_strength_t": 1.5,
    "tr_ms": 500.0,
    "te_ms": 11.0,
    "ti_ms": None,
    "flip_degrees": None,
    "b_value": None,
    "contrast": "",
    "fat_saturation": "",
    "words": ("t1",),
    "vendor": "siemens",
    "scanner": "siemens-x",
    "sex": "F",
    "age": 50,
    "day": 0,
    "year": 0,
    "role": "T1",
    "confidence": 0.9,
    "reason": "short TR 500 ms and TE 11 ms; no sign of contrast",
    "remarks": (),
    "refers_to": (),
}


def row(series, **other):
    """A plain T1 series, with other values where given."""
    return Series(**PLAIN | {"series": series} | other)
