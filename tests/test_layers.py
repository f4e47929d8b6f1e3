"""The architecture as a test: imports point down only, lazy ones counted, and few modules may touch torch or files."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rarelesion

SOURCE = Path(rarelesion.__file__).parent
LAYERS = {
    "front": {"__init__"},
    "L0": {"types", "errors", "settings", "import_settings", "recipes", "paper"},
    "science": {
        "pictures", "formulas", "probe",
        "pseudonyms", "vocabulary", "dicom_terms", "series", "roles", "contrast_order", "gathering", "describing",
        "candidates", "identifying",
        "crop", "squares", "splits", "texture", "patterns", "phantom", "anatomy", "detectors", "contrasts", "ensembles",
        "scoring", "metrics",
        "folds", "proportions", "patients", "resampling", "intervals", "partial", "operating", "thresholds",
        "predictive", "prevalence", "optimism", "compare", "comparisons", "paired", "paired_bootstrap", "repeated",
        "noninferiority", "agreement", "multireader", "imrmc", "calibration", "miscalibration", "logistic", "decision",
        "choosing", "growth", "power_law",
        "conformal", "sizing", "power", "widths", "chance", "baselines", "subgroups", "usefulness", "remarks", "plain",
        "stack", "lesions", "contours",
        "radiomics", "outlines", "outline_search", "intensities", "greylevels", "clinical", "ridge", "fusion",
        "findings", "views", "places", "pixel_traits", "duplicates", "oddities", "confounds", "outlined", "png",
        "burnt_in", "greyscale",
    },
    "networks": {
        "album", "maps", "twin", "distillation", "formula", "selfsupervised", "learning",
        "layers", "backbones", "convolutions", "execution", "epochs", "weights", "weight_formats", "downloads",
        "losses", "augment", "training",
        "pretraining", "cvae",
    },
    "edges": {
        "diagnoses", "marks",
        "tags", "acquisition", "headers", "archive", "catalogue", "index", "series_tables", "thumbnails",
        "cohort", "sheet", "file_facts", "images", "frames", "dicom", "volumes", "rois", "dicom_rois",
        "patches", "measurements", "materials", "store", "config", "synthetic",
        "bias", "registration", "preparation", "overlay",
        "feature_table", "conversion", "bids", "medmnist", "patch_export",
    },
    "L2": {
        "contact_sheet", "teaching", "card", "importing", "patient_import", "locating", "whereabouts",
        "jobs", "fitting", "starts", "checkpoint", "features", "study",
        "checks", "case_facts", "case_pictures", "table_checks", "image_checks", "geometry_checks", "likeness_checks",
        "confound_checks",
        "evaluation", "tables", "sections",
        "figures", "curves",
        "use_figures", "palette", "readers", "results", "prospect", "prediction", "demo", "workers", "pace", "planning",
        "budget", "claim", "choices", "learning_curve", "learning_figure",
    },
    "L3": {
        "cli", "cli_check", "check_text", "check_page", "cli_import", "cli_pretrain", "cli_weights", "cli_convert",
        "console", "verdict", "briefing", "foretelling", "publish", "report",
        "wording", "__main__",
    },
}  # fmt: skip
MAY_IMPORT = {
    "front": {"science"},
    "L0": {"L0"},
    "science": {"L0", "science"},
    "networks": {"L0", "science", "networks"},
    "edges": {"L0", "science", "edges"},
    "L2": {"L0", "science", "networks", "edges", "L2"},
    "L3": {"L0", "science", "networks", "edges", "L2", "L3"},
}
OPENS_FILES = {"open", "read_text", "write_text", "read_bytes", "write_bytes", "savefig", "mkdir", "unlink", "savez"}
WEIGHT_FILES = {"weights", "weight_formats", "downloads"}
IN_MEMORY = {"figure.savefig"}
"""Writes to bytes, which the store then keeps."""
MODULES = sorted(path.stem for path in SOURCE.glob("*.py"))


def layer_of(module):
    return next((layer for layer, members in LAYERS.items() if module in members), None)


def tree_of(module):
    return ast.parse((SOURCE / f"{module}.py").read_text(encoding="utf-8"))


def imports(module):
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written out in full"
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from names if node.module == "rarelesion" else (node.module,)


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_layer_and_imports_point_down(module):
    layer = layer_of(module)
    assert layer, f"{module} belongs to no layer: put it in one here and in ARCHITECTURE.md"
    ours = {name.split(".")[1] for name in imports(module) if name.startswith("rarelesion.")}
    wrong = {name for name in ours & set(MODULES) if layer_of(name) not in MAY_IMPORT[layer]}
    assert not wrong


@pytest.mark.parametrize("module", MODULES)
def test_only_networks_import_torch(module):
    uses_torch = any(name.split(".")[0] in {"torch", "kornia", "safetensors"} for name in imports(module))
    assert not uses_torch or layer_of(module) == "networks"


@pytest.mark.parametrize("module", [m for m in MODULES if layer_of(m) != "edges" and m not in WEIGHT_FILES])
def test_only_edges_and_weights_open_files(module):
    calls = [node.func for node in ast.walk(tree_of(module)) if isinstance(node, ast.Call)]
    methods = {ast.unparse(call) for call in calls if isinstance(call, ast.Attribute) and call.attr in OPENS_FILES}
    by_store = {method for method in methods if method.startswith("store.")}
    assert not methods - by_store - IN_MEMORY
    assert "open" not in {call.id for call in calls if isinstance(call, ast.Name)}


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_ever_pickled(module):
    assert not {"pickle", "joblib", "dill", "cloudpickle", "shelve"} & {name.split(".")[0] for name in imports(module)}


def test_no_cycle_among_modules():
    graph = {m: {n.split(".")[1] for n in imports(m) if n.startswith("rarelesion.")} & set(MODULES) for m in MODULES}
    while graph:
        leaves = {module for module, below in graph.items() if not below & set(graph)}
        assert leaves, f"a cycle among {sorted(graph)}"
        graph = {module: below for module, below in graph.items() if module not in leaves}


@pytest.mark.parametrize("command", [["-c", "import rarelesion"], ["-m", "rarelesion", "--help"]])
def test_starting_loads_neither_torch_nor_matplotlib(command):
    probe = [sys.executable, "-X", "importtime", *command]
    done = subprocess.run(probe, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not loaded & {"torch", "matplotlib", "scipy", "sklearn", "SimpleITK"}


def test_architecture_names_every_module():
    page = (Path(__file__).parents[1] / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert [module for module in MODULES if module not in ("__init__", "__main__") and f"`{module}`" not in page] == []
