"""The card beside a weight file says all that made it."""

from dataclasses import replace

from rarelesion.card import Origin, Teacher, card_text
from rarelesion.probe import Probe

ORIGIN = Origin(
    backbone="vgg16",
    method="distil",
    command="rarelesion pretrain vgg16 --minutes 30 --out vgg16.safetensors",
    seed=3,
    sides_px=(64, 96),
    seen=41264,
    seconds=2475.4,
    loss=0.4443,
    machine="x86_64 processor, 1 thread, bfloat16",
    software="rarelesion 0.1.0, torch 2.13.0",
    teachers=(Teacher("resnet50-conv4", "teacher.h5", "ab12", "MIT"), Teacher("mobilenet", "m.h5", "cd34", "")),
    start="",
    pictures="drawn from the seed",
    compared=("block5_conv3 ~ resnet50-conv4 conv4_block6_out", "embedding ~ resnet50-conv4 embedding"),
    file="vgg16.safetensors",
    sha256="ef56",
    bytes=29431696,
)


def test_the_card_names_pictures_teachers_course_and_file():
    text = card_text(ORIGIN, {"drawn materials": Probe(0.5, 0.614, 0.0625, 320)})
    for words in (
        "# Starting weights of vgg16",
        "* Pictures: drawn from the seed",
        "* Teacher: resnet50-conv4, teacher.h5, sha256 ab12, licence MIT",
        "* Teacher: mobilenet, m.h5, sha256 cd34, licence not stated",
        "* Compared: block5_conv3 ~ resnet50-conv4 conv4_block6_out; embedding ~ resnet50-conv4 embedding",
        "* Start: random numbers",
        "* Command: `rarelesion pretrain vgg16 --minutes 30 --out vgg16.safetensors`",
        "* Seed 3; 41,264 crops seen, 64 pixels wide, towards the end 96; 2,475 seconds",
        "* Loss at the end: 0.444",
        "* File: vgg16.safetensors, 29,431,696 bytes, float16, sha256 ef56",
        "| drawn materials | 50.0 % | 61.4 % | 6.2 % | 320 |",
    ):
        assert words in text


def test_a_given_start_and_the_other_methods_are_told():
    text = card_text(replace(ORIGIN, method="domain", start="start.safetensors, sha256 99", teachers=()), {})
    assert "without labels" in text
    assert "* Start: start.safetensors, sha256 99" in text
    assert "* Teacher" not in text
    assert "name the formula" in card_text(replace(ORIGIN, method="formula"), {})
