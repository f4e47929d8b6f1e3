"""The words of a radiology department that are known, in six languages: whatever else a text holds is not kept.

Series descriptions are written by people and hold anything, names and dates included. They are only searched for the
words of this page, and what is kept is our name of the word, never the text.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache

_AGENT = (
    r"(?:gd|gad|gado\w*|km|kontrast\w*|contrast\w*|injection|inj|iv|civ|mdc|mdk|cm|ce|c|ガド\w*|produit de contraste)"
)
_MARKS = (
    (re.compile(r"\bw\s?/\s?o\b"), " without "),
    (re.compile(r"\bw\s?/"), " with "),
    (re.compile(rf"(?:\+\s*{_AGENT}|(?<![^\W_]){_AGENT}\s?\+)(?![^\W_])"), " plusagent "),
    (re.compile(rf"(?<![^\W_]){_AGENT}\s?-(?=\s|_|$|\))"), " minusagent "),
    (re.compile(r"t2w? ?\*"), "t2 star "),
    (re.compile(r"[\W_]+"), " "),
    (re.compile(r"\b[sde]{1,2}(?=t[12]w)"), ""),
    (re.compile(r"([a-z0-9])(?=[^\x00-\x7f])|([^\x00-\x7f])(?=[a-z0-9])"), r"\1\2 "),
    (
        re.compile(rf"\b(?:without|ohne|sans|sin|senza|no|non|vor|avant|antes(?: de)?|pre|before) ?{_AGENT}\b"),
        " minusagent ",
    ),
    (re.compile(r"造影前|造影なし|非造影|単純"), " minusagent "),
    (re.compile(r"\b([23]d)(?=[a-z])"), r"\1 "),
    (re.compile(r"\b(ax|sag|cor|tra|axial|coronal|sagittal)(?=t[12]|flair|stir|dwi|pd|adc|3d|fs)"), r"\1 "),
    (re.compile(r"\b(t[12]) ?(?:wi|w|weighted|gew\w*|pond\w*)\b"), r"\1 "),
    (re.compile(r"\b(t[12])w?(?=[a-z])"), r"\1 "),
    (re.compile(r"\b(t[12]) ?強調\w*"), r"\1 "),
)
"""What is rewritten, in this order, before words are looked for: signs that mean something, and words run together."""

WORDS: Mapping[str, tuple[str, ...]] = {
    # weighting
    "t1": ("t1",),
    "t2": ("t2(?! ?star)",),
    "t2star": ("t2 ?star", "swi", "swan", "medic", "merge", "venobold", "hemo"),
    "pd": ("pd", "pdw?", "dp", "proton density", "protonen\\w*", "densite de protons", "densidad protonica"),
    "flair": ("\\w*flair", "dark fluid", "darkfluid", "da fl"),
    "stir": ("\\w*stir", "tirm(?! dark)"),
    "dwi": (
        *("dwi\\w*", "diff?", "dwibs", "diffusions?\\w*", "difusion\\w*", "diffusie", "resolve", "b ?\\d{2,4}"),
        *("zoomit", "ep2d diff\\w*", "dti", "拡散"),
    ),
    "adc": ("[de]?adc\\w*", "apparent diffusion\\w*"),
    "trace": ("tracew?", "isotropic"),
    "exponential": ("eadc", "exp(?:onential)? adc"),
    "fa": ("fractional aniso\\w*", "colfa", "(?:dti|diff|tensor) fa", "fa (?:map|tensor)"),
    # how it was acquired
    "tse": ("\\w*tse\\w*", "turbo spin\\w*"),
    "fse": ("\\w*fse", "fse\\w*", "frfse\\w*", "fast spin\\w*", "propeller", "blade", "multivane", "jet"),
    "haste": ("haste", "ssfse", "ss tse", "single shot", "sshtse"),
    "se": ("se", "spin ?echo", "se\\d+[a-z]*"),
    "gre": ("gre", "ffe", "flash", "fl[23] ?d\\w*", "fspgr", "spgr", "gradient\\w*", "efgre\\w*", "fisp", "fgre", "ge"),
    "vibe": ("\\w*vibe", "lava\\w*", "e?thrive\\w*", "vibrant", "tigre", "quick ?3d"),
    "mprage": ("mp ?rage\\w*", "bravo", "tfl ?3d\\w*", "3d tfe", "ir fspgr", "mp2rage", "tfe", "3d t1 tfe"),
    "space": ("space", "cube", "vista", "brainview", "spc\\w*", "mvox", "isofse"),
    "dixon": ("\\w*dixon\\w*", "ideal\\w*", "flex", "wfi", "wfop"),
    "epi": ("epi", "ep2d\\w*"),
    "balanced": ("ciss", "fiesta\\w*", "bffe", "b ffe", "trufi\\w*", "truefisp", "balanced\\w*"),
    "ir": ("ir", "inversion\\w*", "tir"),
    # Dixon parts
    "water": ("water(?! ex\\w*)", "w", "wasser", "eau", "agua", "水"),
    "fat": ("fat only", "fat image", "f", "fett(?! ?(?:ges|sat|un))", "fat$"),
    "inphase": ("in ?phase", "in$", "inp"),
    "outphase": ("out (?:of )?phase", "opp(?:osed)?", "oop", "opp ?phase", "opposed phase"),
    # fat
    "fs": (
        *("fs", "fat ?sat\\w*", "fett ?ges\\w*", "fett ?sat\\w*", "fettunterdr\\w*", "fsat", "spir", "spair", "chess"),
        *(
            "aspir",
            "fat ?supp?\\w*",
            "spectral fat\\w*",
            "sat\\w* (?:de )?(?:la )?gra\\w+",
            "proset",
            "we",
            "water ex\\w*",
        ),
        *(
            "we",
            "water ex\\w*",
            "supp?res\\w+ (?:de )?(?:la )?gra\\w+",
            "脂肪抑制",
            "fs\\d+",
            "t[12]fs",
            "tsefs",
            "fsefs",
        ),
    ),
    # contrast
    "post": (
        *(f"(?:post|nach|apres|despues(?: de)?|dopo|tras|mit|avec|con|with) ?{_AGENT}", "post(?! ?op)", "delayed"),
        *("postcon\\w*", "poscontraste", "pos ?contraste", "造影後", "遅延"),
    ),
    "contrast": (
        *(
            "plusagent",
            "gd",
            "gad",
            "gado\\w*",
            "km",
            "ce",
            "kontrast\\w*",
            "contrast",
            "contraste",
            "injectee?",
            "mdc",
        ),
        *("dotarem", "gadovist", "magnevist", "multihance", "omniscan", "prohance", "clariscan", "primovist", "eovist"),
        *(
            "mdc",
            "injection",
            "civ",
            "enhanced",
            "cet1\\w*",
            "造影",
            "ガド",
            "gdt1",
            "t1gd",
            "t1ce",
            "t1c",
            "mdk",
            "cemra",
        ),
    ),
    "pre": (
        *("minusagent", f"pre ?{_AGENT}", "pre(?! ?op)", "nativ", "native?", "plain", "unenhanced", "nonenhanced"),
        *("nonce", "precon\\w*", "non ?con\\w*"),
    ),
    "dynamic": ("dyn\\w*", "dce\\w*", "twist\\w*", "arterial\\w*", "perf\\w*", "disco", "ダイナミック"),
    # direction
    "axial": ("ax", "axial\\w*", "tra", "trans", "transv\\w*", "quer", "横断", "軸位", "axi", "ax obl\\w*"),
    "coronal": ("cor", "coro", "coron\\w*", "kor", "koronar\\w*", "冠状"),
    "sagittal": ("sag", "sagit\\w*", "矢状"),
    # what is no acquisition of its own
    "localizer": (
        *(
            "loc",
            "locali[sz]\\w*",
            "scout\\w*",
            "survey",
            "lokali\\w*",
            "ubersicht\\w*",
            "reperage",
            "位置決め",
            "スカウト",
        ),
        *(
            "スカウト",
            "plan(?:ning)? scan",
            "3 ?plane\\w*",
            "3 pl",
            "three plane\\w*",
            "topogram\\w*",
            "scanogram",
            "aahead\\w*",
        ),
        *("surview", "smartbrain", "calib\\w*", "asset cal\\w*", "ref(?:erence)? scan", "pilot\\w*", "aascout"),
    ),
    "subtraction": ("subs?", "subtr\\w*", "soustr\\w*", "substr\\w*", "サブトラ", "resta"),
    "mip": ("mip\\w*", "minip"),
    "mpr": ("mpr(?! ?age)\\w*", "reformat\\w*", "mpv\\w*"),
    "screen": ("screen ?save\\w*", "secondary capture", "reports?", "dose\\w*", "key images?", "screenshot"),
    "angiography": ("tof\\w*", "mra", "angio\\w*", "cemra"),
    "spectroscopy": ("csi", "svs\\w*", "spectro\\w*", "mrs"),
    "map": ("t[12] ?map\\w*", "b[01] ?map", "field ?map\\w*", "ktrans", "ttp", "mtt", "rcbv", "rcbf"),
    "bold": ("bold", "fmri", "resting\\w*"),
}
"""Our word -> the patterns, of text in small letters without accents and signs, that mean it, between word borders.
Patterns in Japanese letters are found anywhere, since that text has no word borders."""

VENDORS: Mapping[str, str] = {
    "siemens": "siemens|healthineers",
    "ge": r"^ge\b|\bge medical|general electric|gehc|\bge healthcare",
    "philips": "philips|picker|marconi",
    "canon": "canon|toshiba",
    "hitachi": "hitachi",
    "fujifilm": "fuji",
    "esaote": "esaote",
    "bruker": "bruker",
    "united": "united imaging|uih",
    "samsung": "samsung|medison",
    "hologic": "hologic",
    "mindray": "mindray",
    "neusoft": "neusoft",
    "shimadzu": "shimadzu",
    "paramed": "paramed",
    "konica": "konica",
    "agfa": "agfa",
    "carestream": "carestream|kodak",
}
_ACCENTS = dict.fromkeys(range(768, 880))


def _joined(patterns: tuple[str, ...]) -> re.Pattern[str]:
    bordered = "|".join(pattern for pattern in patterns if pattern.isascii())
    anywhere = "".join(f"|{pattern}" for pattern in patterns if not pattern.isascii())
    return re.compile(rf"\b(?:{bordered})\b{anywhere}")


_PATTERNS = tuple((word, _joined(patterns)) for word, patterns in WORDS.items())


def plain_text(text: str) -> str:
    """In small letters, without accents, words apart and signs gone; "+C", "ohne KM" and the like as one word."""
    text = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold()).translate(_ACCENTS)
    text = unicodedata.normalize("NFC", text)
    for pattern, replacement in _MARKS:
        text = pattern.sub(replacement, text)
    return text.strip()


@lru_cache(maxsize=4096)
def words_of(*texts: str) -> tuple[str, ...]:
    """Our names of the words that the texts hold, in the order of WORDS; nothing else of the texts is kept."""
    plain = [plain_text(text) for text in texts if text]
    return tuple(word for word, pattern in _PATTERNS if any(pattern.search(text) for text in plain))


def vendor_of(manufacturer: str) -> str:
    """The manufacturer's name in one word of a fixed list, "other" for one that is not in it, "" for none."""
    text = plain_text(manufacturer).strip()
    known = (vendor for vendor, pattern in VENDORS.items() if re.search(pattern, text))
    return next(known, "other") if text else ""


def known(values: Iterable[str], vocabulary: frozenset[str]) -> tuple[str, ...]:
    """Those of the values that are in the vocabulary, in order, once each."""
    tidy = (value.strip().upper() for value in values)
    return tuple(dict.fromkeys(value for value in tidy if value in vocabulary))
