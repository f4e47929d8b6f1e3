"""What the paper (Matsuo et al. 2020) leaves open or contradicts, and our decision: for report and docs."""

SILENT_SETTINGS: dict[str, str] = {
    "images.margin": "the paper's crops were drawn by eye; here a share of the lesion's longer side on every side",
    "images.scaling": "not said; robust percentiles of the slice the lesion is on",
    "images.percentiles": "not said; the 1st and 99th",
    "textures.source": "the paper took CUReT; here a procedural library, or any folder of texture images",
    "textures.per_case": "not said; as many texture images an epoch as training tumours, drawn anew each epoch",
    "training.patience": "not said; 20 epochs without a lower tuning loss, and the best epoch's weights are kept",
    "training.batch_norm": "as Keras trains it at a batch of 1 (profile paper), or ImageNet statistics kept (fast)",
    "training.frozen_layers": "the first ten layers in Keras's own order, for every backbone",
    "training.class_weights": "not said; the classes weigh as they come",
    "training.erasing_probability": "not said; one half",
    "training.erasing_area": "not said; 2 % to 40 % of the patch, filled with noise",
    "training.erasing_aspect": "not said; 0.3 to 3.3",
    "training.mixup": "strength not said; Beta(0.2, 0.2), over all classes",
    "detectors.ocsvm_nu": "not said; 0.1",
    "detectors.ocsvm_gamma": "kernel not said; radial basis function with scikit-learn's gamma = scale",
    "cvae.condition": 'C stands for convolutional in the paper: not conditioned; "class" conditions it on the class',
    "cvae.latent": "not said",
    "statistics.interval": "DeLong as in the paper, on the logit scale, and no narrower than Newcombe's: few cases",
}
"""Settings on which the paper is silent, by dotted name, with the decision behind their defaults."""

DECISIONS: tuple[tuple[str, str], ...] = (
    (
        "number of malignant test cases",
        "Table 1 counts 10, yet Table 3's sensitivities are multiples of 1/12 and its specificities of 1/34; our "
        "splits depend on neither",
    ),
    (
        "equations 2 and 3 (local density)",
        "printed without the reciprocal and without the reachability distance; here Breunig's local outlier factor as "
        "scikit-learn computes it",
    ),
    ("cases the detectors are fitted on", "the benign training cases only; all others are scored from that fit"),
    ("layer of the embedding", "the mean of the last convolution: 512, 1024 or 2048 numbers; of length alpha under L2"),
    (
        "a case that the classifier takes for texture",
        'is scored all the same; the texture probability stands beside it as "does not look like a lesion"',
    ),
    ("area under the PR curve", "average precision; the trapezoid area is not used"),
    (
        "threshold at the Youden index of the test cases",
        "reported as the paper does, and marked as optimistic; beside it the threshold chosen on the tuning cases",
    ),
)
"""Points without a setting of their own, with what is done."""
