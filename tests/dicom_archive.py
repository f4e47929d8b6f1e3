"""DICOM files for tests, made by code: a plain MR slice with whatever tags a test wants otherwise."""

from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

MR_CLASS, CT_CLASS = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_MR_CLASS, SEG_CLASS = "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.66.4"
AXIAL, CORONAL, SAGITTAL = (1, 0, 0, 0, 1, 0), (1, 0, 0, 0, 0, -1), (0, 1, 0, 0, 0, -1)
NORMAL = {AXIAL: (0, 0, 1), CORONAL: (0, 1, 0), SAGITTAL: (-1, 0, 0)}


def uid(*words):
    """The same UID for the same words."""
    return generate_uid(entropy_srcs=["test", *map(str, words)])


def slice_tags(patient="P1", study="study", series="series", number=1, orientation=AXIAL, step_mm=4.0, **tags):
    """Tags of slice `number` (from 1) of an MR series; None removes one."""
    place = np.array(NORMAL[orientation]) * step_mm * (number - 1)
    plain = {
        "SOPClassUID": MR_CLASS,
        "SOPInstanceUID": uid(patient, study, series, number),
        "StudyInstanceUID": uid(patient, study),
        "SeriesInstanceUID": uid(patient, study, series),
        "FrameOfReferenceUID": uid(patient, study, "frame"),
        "PatientID": patient,
        "PatientName": f"{patient}^Somebody",
        "PatientBirthDate": "19600501",
        "PatientSex": "F",
        "StudyDate": "20150601",
        "StudyTime": "101500",
        "AcquisitionTime": "102000",
        "Modality": "MR",
        "Manufacturer": "SIEMENS",
        "ManufacturerModelName": "Avanto",
        "DeviceSerialNumber": "4711",
        "MagneticFieldStrength": "1.5",
        "SeriesDescription": "t1_tse_tra",
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"],
        "ScanningSequence": "SE",
        "SequenceVariant": "SK",
        "RepetitionTime": "500",
        "EchoTime": "11",
        "MRAcquisitionType": "2D",
        "SeriesNumber": 3,
        "InstanceNumber": number,
        "ImageOrientationPatient": list(orientation),
        "ImagePositionPatient": [float(item) for item in place],
        "PixelSpacing": [0.5, 0.5],
        "SliceThickness": 3.5,
    }
    return {keyword: value for keyword, value in (plain | tags).items() if value is not None}


def write_dicom(path: Path, tags, pixels=None, preamble=True, implicit=False, private=()) -> Path:
    """Write one file with these tags and pixels, 16 x 16 unless given; `private`: (group, creator, element, VR, value).

    Without a preamble the file has no file meta information either, as old archives hold them.
    """
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    for group, creator, element, vr, value in private:
        dataset.private_block(group, creator, create=True).add_new(element, vr, value)
    if pixels is not False:
        put_pixels(dataset, np.arange(256).reshape(16, 16) if pixels is None else pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not preamble:
        dataset.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
        return path
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = tags["SOPClassUID"]
    dataset.file_meta.MediaStorageSOPInstanceUID = tags.get("SOPInstanceUID") or uid("none")
    dataset.save_as(path, enforce_file_format=True)
    return path


def put_pixels(dataset, pixels):
    """The pixels (rows, columns) or (frames, rows, columns) as 16 bits a pixel."""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        dataset.NumberOfFrames = len(pixels)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelData = pixels.astype("<u2").tobytes()


def write_series(folder: Path, count=5, suffix=".dcm", **tags):
    """Write the slices of one series and give back their paths."""
    return [
        write_dicom(folder / f"{number:04d}{suffix}", slice_tags(number=number, **tags))
        for number in range(1, count + 1)
    ]


def item(**tags):
    """A dataset of these tags."""
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def enhanced_tags(frames, **tags):
    """Tags of an enhanced MR object; each of `frames` is a dict with position, orientation and, if any, te and b."""
    groups = []
    for number, frame in enumerate(frames):
        group = item(
            PlanePositionSequence=Sequence([item(ImagePositionPatient=list(frame["position"]))]),
            PlaneOrientationSequence=Sequence([item(ImageOrientationPatient=list(frame.get("orientation", AXIAL)))]),
            FrameContentSequence=Sequence(
                [item(TemporalPositionIndex=frame.get("time", 1), FrameComments=str(number))]
            ),
        )
        if "te" in frame:
            group.MREchoSequence = Sequence([item(EffectiveEchoTime=float(frame["te"]))])
        if "b" in frame:
            group.MRDiffusionSequence = Sequence([item(DiffusionBValue=float(frame["b"]))])
        groups.append(group)
    shared = item(
        PixelMeasuresSequence=Sequence([item(PixelSpacing=[0.5, 0.5], SliceThickness=3.5)]),
        MRTimingAndRelatedParametersSequence=Sequence([item(RepetitionTime=4000.0, FlipAngle=90.0, EchoTrainLength=9)]),
    )
    plain = slice_tags(SOPClassUID=ENHANCED_MR_CLASS, ScanningSequence=None, EchoTime=None, RepetitionTime=None)
    for keyword in ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "SliceThickness"):
        del plain[keyword]
    plain |= {"EchoPulseSequence": "SPIN", "SharedFunctionalGroupsSequence": Sequence([shared])}
    return plain | {"PerFrameFunctionalGroupsSequence": Sequence(groups)} | tags
