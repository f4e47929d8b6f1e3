"""Every setting of a study with its default, as plain frozen dataclasses.

The groups are the tables of `study.toml`. Where the paper (Matsuo et al. 2020) is silent, the default here is our
decision and the field's comment says so; `config` reads, checks and writes them.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

Profile = Literal["paper", "fast"]
Precision = Literal["float32", "bfloat16"]
WeightSource = Literal["auto", "imagenet", "embedded", "textures"]


@dataclass(frozen=True, slots=True)
class CohortSettings:
    """How the cohort's words are to be read."""

    positive: str = "malignant"  # the word in the label column that means malignant
    negative: str = "benign"  # the word that means benign
    subgroups: tuple[str, ...] = ()  # further columns kept in the run beside the known, harmless ones
    allow_mixed_patients: bool = False  # true: a patient may have a benign and a malignant lesion


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """From image files to patches."""

    side_px: int = 100  # the paper's input
    slices: int = 1  # slices a case: the largest cross-section, then its neighbours; scores are means over them
    margin: float = 0.15  # added on every side of the lesion, as a share of its longer side (paper: by eye)
    channels: dict[str, str] = field(default_factory=dict)  # red/green/blue -> sequence; empty: T1 blue, T2 green
    scaling: Literal["slice", "patch", "surroundings", "nyul"] = "slice"  # see docs/concepts/greys.md
    percentiles: tuple[float, float] = (1.0, 99.0)  # greys at and beyond these become black and white


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """Train 60 %, tune 20 %, test 20 %, stratified by class and grouped by patient."""

    folds: int = 5  # 1 is the paper's single split
    repeats: int = 1  # how often the cases are divided anew, each time into all folds


@dataclass(frozen=True, slots=True)
class TextureSettings:
    """The third class."""

    source: str = "procedural"  # or a folder of texture images
    per_case: float = 1.0  # texture images an epoch, per training case (paper silent)


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How a network is trained. `None` means: as the profile has it (see `resolved`)."""

    profile: Profile = "fast"  # paper: as in the paper, a patch at a time; fast: in batches
    batch_size: int | None = None  # patches a training step
    learning_rate: float | None = None  # of Adam
    max_epochs: int | None = None  # training stops earlier where the tuning loss no longer falls
    patience: int = 20  # epochs without a lower tuning loss before it stops; best weights are kept (paper silent)
    precision: Precision | None = None  # None in `fast`: a study measures which is faster, and keeps to it
    batch_norm: Literal["trained", "frozen"] | None = None  # frozen: keeps the statistics it started with
    frozen_layers: int = 10  # in Keras's own layer order, for every backbone
    alpha: float = 80.0  # length of the embedding under the L2-constrained softmax
    class_weights: Literal["none", "balanced"] = "none"  # balanced: the rarer class weighs more in the loss
    rotation_degrees: float = 180.0  # each training patch is turned by up to this much, either way
    flips: bool = True  # horizontal and vertical, each with a chance of one half
    erasing_probability: float = 0.5  # share of training patches of which a box is erased
    erasing_area: tuple[float, float] = (0.02, 0.4)  # least and most, as a share of the patch
    erasing_aspect: tuple[float, float] = (0.3, 3.3)  # least and most, height to width
    mixup: float = 0.2  # Beta(mixup, mixup) over all classes; 0 switches it off

    def resolved(self) -> "TrainingSettings":
        """The same settings with every `None` that a profile decides filled in; `precision` may stay open."""
        paper = {"batch_size": 1, "learning_rate": 1e-5, "max_epochs": 500, "batch_norm": "trained"}
        fast = {"batch_size": 32, "learning_rate": 2e-4, "max_epochs": 60, "batch_norm": "frozen"}
        chosen = paper | {"precision": "float32"} if self.profile == "paper" else fast
        return replace(self, **{key: value for key, value in chosen.items() if getattr(self, key) is None})


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """Anomaly detectors, fitted on the benign training cases only, and contrasts, fitted on both classes."""

    lof_neighbours: int = 5  # k of the local outlier factor, as in the paper
    ocsvm_nu: float = 0.1  # most benign training cases that may lie outside, as a share (paper silent)
    ocsvm_gamma: Literal["scale", "auto"] = "scale"  # width of the kernel (paper silent)
    knn_neighbours: int = 5  # benign cases to which the distance is averaged
    contrast_neighbours: int = 20  # cases of each class that lofratio and knnratio look at


@dataclass(frozen=True, slots=True)
class CvaeSettings:
    """The convolutional variational auto-encoder."""

    condition: Literal["none", "class"] = "none"  # class: told the class, it learns from malignant cases too
    latent: int = 32  # numbers that a patch is squeezed into
    max_epochs: int = 60  # training stops earlier where the tuning loss no longer falls
    learning_rate: float = 1e-3  # of Adam
    batch_size: int = 16  # patches a training step
    kl_weight: float = 1.0  # weight of the latent's divergence from the prior; 1 is the usual bound


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """What stands beside the networks: radiomics of the lesion, columns of the cohort, and a table of features."""

    clinical: tuple[str, ...] = ()  # columns that `clinical` learns from; empty: age, sex and lesion_mm, if there
    table: str = ""  # CSV or Excel file that `table` learns from: case_id and numbers, as PyRadiomics writes them
    pixel_mm: float = 0.5  # radiomics: the pixel that images with patient coordinates are brought to
    bins: int = 32  # radiomics: grey levels from the lowest to the highest of a lesion, for texture
    ring: float = 0.25  # radiomics: how broad the tissue around a lesion is, as a share of its longer side
    outline: Literal["marked", "found"] = "marked"  # radiomics: found looks for the outline inside a lesion's box


@dataclass(frozen=True, slots=True)
class WeightSettings:
    """Where each backbone starts from."""

    source: WeightSource = "auto"  # auto: ImageNet's if they can be had, else embedded ones, else textures taught first
    files: dict[str, str] = field(default_factory=dict)  # backbone -> weight file, goes before `source`
    pretrain_images: int = 8000  # images drawn when a backbone is trained on textures first


@dataclass(frozen=True, slots=True)
class LearningCurveSettings:
    """How the ROC-AUC grows with the number of training cases, from further networks trained on fewer of them."""

    recipes: tuple[str, ...] = ()  # whose curve is made; empty: none; "lead": the row that the report is about
    shares: tuple[float, ...] = (0.25, 0.35, 0.5, 0.71)  # of the training cases of each split; all of them come beside
    draws: int = 3  # different subsets of the smallest share; larger shares get fewer, to cost as much each

    def sizes(self) -> dict[float, int]:
        """Share of the training cases -> how many subsets of that size are drawn."""
        return {share: max(1, round(self.draws * self.shares[0] / share)) for share in self.shares}


@dataclass(frozen=True, slots=True)
class StatisticsSettings:
    """Intervals and comparisons."""

    confidence: float = 0.95  # level of all intervals
    interval: Literal["logit", "delong", "bootstrap"] = "logit"  # for the ROC-AUC
    bootstrap: int = 2000  # draws of patients
    reference: str = ""  # recipe the others are compared with; empty: the paper's proposed one, else the first
    baselines: tuple[str, ...] = ()  # columns set beside the networks; empty: age, sex, scanner and the like, if there
    subgroups: tuple[str, ...] = ()  # columns by whose entries the areas are reported as well
    permutations: int = 2000  # labels handed out at random to see what chance does
    threshold: str = "youden"  # how the tuning cases choose it: youden, sensitivity>=0.95, specificity>=0.9, cost=10
    prevalence: float | None = None  # share of malignant cases where it is to be used, for PPV, NPV and net benefit
    margin: float | None = None  # largest loss of ROC-AUC against a reader that is accepted: tests non-inferiority
    adjust: Literal["holm", "benjamini-hochberg"] = "holm"  # p-values: for claims, or for screening many candidates
    conformal_alpha: float = 0.1  # how often, in either class, an answer may leave out the truth; else it is unsure


@dataclass(frozen=True, slots=True)
class PreparationSettings:
    """What is done to the volumes of a case before a cohort keeps them: of `import.toml`, not of `study.toml`."""

    registration: Literal["auto", "never", "always"] = "auto"  # auto: sequences are moved where that measurably helps
    max_shift_mm: float = 20.0  # a larger movement between two sequences is not believed
    max_rotation_degrees: float = 15.0  # nor one that turns further
    bias: bool = False  # true: the coil's shading is taken out (N4)
    bias_shrink: int = 4  # N4 looks at every so many pixels down and across: higher is faster, and coarser
    onto: str = ""  # sequence onto whose grid the others are brought; empty: each keeps its own
    spacing_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)  # between slices, rows and columns; 0: as acquired


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a study: the content of `study.toml`."""

    recipes: tuple[str, ...] = ()  # empty: the paper's sixteen trained rows
    seed: int = 0  # same seed, same machine, same numbers
    cohort: CohortSettings = field(default_factory=CohortSettings)
    images: ImageSettings = field(default_factory=ImageSettings)
    split: SplitSettings = field(default_factory=SplitSettings)
    textures: TextureSettings = field(default_factory=TextureSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    detectors: DetectorSettings = field(default_factory=DetectorSettings)
    cvae: CvaeSettings = field(default_factory=CvaeSettings)
    features: FeatureSettings = field(default_factory=FeatureSettings)
    weights: WeightSettings = field(default_factory=WeightSettings)
    learning_curve: LearningCurveSettings = field(default_factory=LearningCurveSettings)
    statistics: StatisticsSettings = field(default_factory=StatisticsSettings)
