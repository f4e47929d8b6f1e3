"""How fast the headers of a DICOM archive are indexed, and how much memory that takes.

    python benchmarks/index_speed.py
    python benchmarks/index_speed.py --files 2000 20000 --workers 1 2 --json

Makes its own archive in a temporary folder: MR slices of 128 x 128 pixels in series of 25, each with the tags that
`FILLING` adds (some 200 elements, sequences and a private block of 30 kB as Siemens writes it). Each measurement is a
process of its own: `first` builds the index, `again` finds that nothing has changed, `rows` gives the series, `memory`
is the largest resident set of the process, and that of its largest worker. Files were just written, so they lie in the
cache of the operating system: a slow disk or network adds its own time. `enhanced` is one file of 1,000 frames.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.datadict import DicomDictionary
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

KEY = bytes(32)
MR, ENHANCED = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
SLICES, SERIES_A_STUDY, FILLING, PRIVATE_BYTES = 25, 8, 120, 30_000
ENHANCED_FRAMES = 1000


SLICE, SERIES, STUDY, PLACE, HEIGHT = "10000001", "10000002", "10000003", "77771", "777.7"
"""What stands for the numbers of a slice in the file that all others are made from by replacing bytes."""


def plain() -> Dataset:
    """A slice, with the above in place of its numbers."""
    dataset = Dataset()
    for tag, (vr, _, _, _, keyword) in sorted(DicomDictionary.items()):
        if len(dataset) < FILLING and vr in ("LO", "SH") and keyword and tag >> 16 in (0x0010, 0x0018, 0x0040):
            setattr(dataset, keyword, "filling")
    dataset.SOPClassUID, dataset.SOPInstanceUID = MR, f"1.2.3.{SLICE}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"1.2.4.{STUDY}", f"1.2.5.{SERIES}"
    dataset.FrameOfReferenceUID, dataset.PatientID, dataset.PatientName = f"1.2.6.{STUDY}", f"P{STUDY}", "Some^Body"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.StudyDate = "19600501", "F", "20150601"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = "101500.25"
    dataset.Modality, dataset.Manufacturer, dataset.ManufacturerModelName = "MR", "SIEMENS", "Avanto"
    dataset.DeviceSerialNumber, dataset.MagneticFieldStrength = "4711", "1.5"
    dataset.SeriesDescription, dataset.ProtocolName = "t1_tse_tra", "t1_tse_tra"
    dataset.ImageType, dataset.ScanningSequence, dataset.SequenceVariant = ["ORIGINAL", "PRIMARY", "M"], "SE", "SK"
    dataset.RepetitionTime, dataset.EchoTime, dataset.FlipAngle, dataset.EchoTrainLength = "500", "11", "90", 3
    dataset.InstanceNumber, dataset.SeriesNumber, dataset.AcquisitionNumber = PLACE, 4, 1
    dataset.SliceThickness, dataset.SpacingBetweenSlices = "3.5", "4"
    dataset.ImageOrientationPatient, dataset.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.5, 0.5]
    dataset.ImagePositionPatient = ["-32", "-32", HEIGHT]
    dataset.RequestAttributesSequence = Sequence([code() for _ in range(3)])
    dataset.ReferencedImageSequence = Sequence([code() for _ in range(3)])
    dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", bytes(PRIVATE_BYTES))
    return with_pixels(dataset, np.full((128, 128), 7, "<u2"))


def code() -> Dataset:
    """An item of some sequence."""
    dataset = Dataset()
    dataset.CodeValue, dataset.CodeMeaning = "T-D1234", "something"
    return dataset


def with_pixels(dataset: Dataset, pixels: np.ndarray) -> Dataset:
    """The dataset with 16 bits a pixel, ready to be written."""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = pixels.tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.ImplementationClassUID = generate_uid(entropy_srcs=["benchmark"])
    return dataset


def write_archive(folder: Path, files: int) -> None:
    """So many slices, a folder for each series."""
    buffer = BytesIO()
    plain().save_as(buffer, enforce_file_format=True)
    for number in range(files):
        series, place = divmod(number, SLICES)
        path = folder / f"{series:05d}" / f"IM{place:04d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        numbers = {SLICE: number, SERIES: series, STUDY: series // SERIES_A_STUDY}
        content = buffer.getvalue().replace(PLACE.encode(), f"{place + 1:05d}".encode())
        content = content.replace(HEIGHT.encode(), f"{4.0 * place:05.1f}".encode())
        for mark, own in numbers.items():
            content = content.replace(mark.encode(), str(20_000_000 + own).encode())
        path.write_bytes(content)


def write_enhanced(path: Path, frames: int) -> None:
    """One enhanced object of so many frames, each with its functional groups."""
    dataset = plain()
    del dataset.file_meta
    dataset.SOPClassUID, dataset.NumberOfFrames = ENHANCED, frames
    groups = []
    for number in range(frames):
        group = Dataset()
        for macro, keyword, value in (
            ("PlanePositionSequence", "ImagePositionPatient", [0.0, 0.0, float(number)]),
            ("PlaneOrientationSequence", "ImageOrientationPatient", [1, 0, 0, 0, 1, 0]),
            ("PixelMeasuresSequence", "PixelSpacing", [0.5, 0.5]),
            ("MREchoSequence", "EffectiveEchoTime", 11.0),
            ("FrameContentSequence", "FrameComments", "some words"),
            ("MRTimingAndRelatedParametersSequence", "RepetitionTime", 500.0),
        ):
            setattr(group, macro, Sequence([item(keyword, value)]))
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    path.parent.mkdir(parents=True, exist_ok=True)
    with_pixels(dataset, np.zeros((frames, 64, 64), "<u2")).save_as(path, enforce_file_format=True)


def item(keyword: str, value: object) -> Dataset:
    """A macro's single item."""
    dataset = Dataset()
    setattr(dataset, keyword, value)
    return dataset


def measure(folder: Path, out: Path, workers: int) -> dict[str, float]:
    """In this process: the index built, built again, and its rows."""
    from rarelesion.index import build

    before = time.perf_counter()
    build(folder, out, KEY, workers)
    first = time.perf_counter()
    found = build(folder, out, KEY, workers)
    again = time.perf_counter()
    rows = len(found.series())
    asked = time.perf_counter()
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "first_s": round(first - before, 2),
        "again_s": round(again - first, 2),
        "rows_s": round(asked - again, 2),
        "series": rows,
        "cpu_s": round(own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime, 2),
        "memory_mb": round(own.ru_maxrss / 1024),
        "worker_memory_mb": round(children.ru_maxrss / 1024),
        "index_mb": round((out / "index.sqlite").stat().st_size / 1e6, 1),
    }


def in_a_process(folder: Path, out: Path, workers: int) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--measure", str(folder), str(out), str(workers)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def report(counts: list[int], workers: list[int]) -> list[dict[str, object]]:
    """One row for each number of files and workers."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as temporary:
        for count in counts:
            folder = Path(temporary) / f"archive{count}"
            write_archive(folder, count)
            for number in workers:
                found = in_a_process(folder, Path(temporary) / f"out{count}-{number}", number)
                a_minute = round(60 * count / found["first_s"])
                rows.append({"files": count, "workers": number, "files_a_minute": a_minute, **found})
        write_enhanced(Path(temporary) / "enhanced" / "a", ENHANCED_FRAMES)
        found = in_a_process(Path(temporary) / "enhanced", Path(temporary) / "out-enhanced", 1)
        rows.append({"files": f"1 of {ENHANCED_FRAMES} frames", "workers": 1, "files_a_minute": "", **found})
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, nargs="+", default=[2000, 20_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        folder, out, workers = given.measure
        print(json.dumps(measure(Path(folder), Path(out), int(workers))))
        return
    rows = report(given.files, given.workers)
    if given.json:
        print(json.dumps({"cores": os.cpu_count(), "rows": rows}, indent=1))
        return
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")


if __name__ == "__main__":
    main()
