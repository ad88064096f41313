"""Anchors: what is near a known text is drawn to it, what lies between stays between."""

import math

import torch

from ov3d_trainer.network.anchors import TextAnchors

EAST, NORTH = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0])


def anchors(temperature):
    made = TextAnchors(2, 3, temperature)
    made.text.copy_(torch.stack([EAST, NORTH]))
    return made


def test_feature_moves_half_the_angle_towards_the_text_that_it_resembles():
    angle = math.radians(30.0)
    feature = torch.tensor([math.cos(angle), 0.0, math.sin(angle)])
    drawn = anchors(0.01)(feature[None])[0]
    torch.testing.assert_close(drawn, torch.tensor([math.cos(angle / 2), 0.0, math.sin(angle / 2)]))


def test_feature_between_two_texts_stays_between():
    middle = torch.nn.functional.normalize(EAST + NORTH, dim=0)
    torch.testing.assert_close(anchors(0.05)(middle[None])[0], middle)


def test_feature_of_no_length_becomes_the_mean_of_the_texts():
    middle = torch.nn.functional.normalize(EAST + NORTH, dim=0)
    torch.testing.assert_close(anchors(0.05)(torch.zeros(1, 3))[0], middle)
