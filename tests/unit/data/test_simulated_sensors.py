"""Ray-cast lidar and cameras see worked-by-hand geometry where it is."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ov3d_trainer.data.sample import UNKNOWN
from ov3d_trainer.data.simulate.kinds import EGO, KINDS, SKY
from ov3d_trainer.data.simulate.materials import material_id
from ov3d_trainer.data.simulate.mesh import Mesh, Surface, box, empty_mesh, merge, number, quads
from ov3d_trainer.data.simulate.render import Light, render
from ov3d_trainer.data.simulate.scene import Layer
from ov3d_trainer.data.simulate.street.cameras import CAMERAS, ego_from_camera, intrinsics
from ov3d_trainer.data.simulate.street.lidar import (
    Finish,
    LidarSpec,
    World,
    beam_directions,
    scan,
    share_of_revolution,
)
from ov3d_trainer.data.simulate.textures import texture

CLEAN = LidarSpec(range_noise_m=0.0, dropout=0.0)
ROAD = Surface("road", "marking", (200, 200, 200))
CAR = Surface("car", "metal", (220, 30, 30))
MOUNT_HEIGHT_M = 1.84


def flat_ground(kind: Surface = ROAD) -> Mesh:
    corners = [[-200.0, -200.0, 0.0], [200.0, -200.0, 0.0], [200.0, 200.0, 0.0], [-200.0, 200.0, 0.0]]
    return quads(kind, np.array([corners]))


def lidar_at(height_m: float = MOUNT_HEIGHT_M) -> NDArray[np.float64]:
    """x right, y forward, z up, looking along the global x axis."""
    return np.array([[0.0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, height_m], [0, 0, 0, 1]])


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_lowest_beam_meets_flat_ground_3_61_m_away() -> None:
    """1.84 m / sin(30.67 deg) = 3.607 m along the beam, 1.84 / tan(30.67 deg) = 3.103 m over the ground."""
    sweep = scan(World(static=[Layer(flat_ground())]), lidar_at(), CLEAN, rng())
    lowest = sweep.points[sweep.ring == 0]
    assert len(lowest) > 700  # the rest is lost to grazing and darkness, nothing to noise
    assert np.linalg.norm(lowest, axis=1) == pytest.approx(3.607, abs=1e-3)
    assert np.linalg.norm(lowest[:, :2], axis=1) == pytest.approx(3.103, abs=1e-3)
    assert lowest[:, 2] == pytest.approx(-MOUNT_HEIGHT_M, abs=1e-4)  # float32 at a few metres


def test_beams_above_the_horizon_return_nothing_from_flat_ground() -> None:
    """Steps are 41.34 / 31 = 1.3335 deg, so ring 23 (-30.67 + 23 * 1.3335 = 0.0) lies on the horizon."""
    sweep = scan(World(static=[Layer(flat_ground())]), lidar_at(), CLEAN, rng())
    assert sweep.ring.max() == 22  # ring 22 at -1.33 deg hits 79 m away, within the range of 100 m
    assert np.linalg.norm(sweep.points, axis=1).max() <= CLEAN.max_range_m


def test_every_revolution_has_32_beams_at_1084_azimuths() -> None:
    directions, ring = beam_directions(LidarSpec())
    assert directions.shape == (32 * 1084, 3)
    assert np.linalg.norm(directions, axis=1) == pytest.approx(1.0)
    assert np.bincount(ring).tolist() == [1084] * 32
    elevation = np.degrees(np.arcsin(directions[:32, 2]))
    assert elevation[[0, 31]] == pytest.approx([-30.67, 10.67])


def test_car_ahead_is_labelled_car_at_its_distance() -> None:
    """A box 4 m long centred 12 m ahead begins at 10 m; ahead is +y in the lidar frame."""
    layers = [Layer(flat_ground()), Layer(box(CAR, (4.0, 1.8, 1.5), (12.0, 0.0, 0.0)))]
    sweep = scan(World(static=layers), lidar_at(), CLEAN, rng())
    car = sweep.points[sweep.kind == KINDS.index("car")]
    rear = car[car[:, 2] < -0.35]  # 1.5 m tall: the roof is at z = -0.34
    assert len(rear) > 50
    assert rear[:, 1] == pytest.approx(10.0, abs=1e-3)
    assert np.abs(rear[:, 0]).max() <= 0.9
    assert set(sweep.kind.tolist()) == {KINDS.index("car"), KINDS.index("road")}


def test_nearer_layer_hides_the_farther_one_whatever_their_order() -> None:
    near, far = box(CAR, (1.0, 4.0, 4.0), (8.0, 0.0, 0.0)), box(ROAD, (1.0, 4.0, 4.0), (20.0, 0.0, 0.0))
    for layers in ([Layer(near), Layer(far)], [Layer(far), Layer(near)]):
        sweep = scan(World(static=layers), lidar_at(), CLEAN, rng())
        ahead = np.abs(sweep.points[:, 0] / sweep.points[:, 1]) < 0.05
        assert set(sweep.kind[ahead].tolist()) == {KINDS.index("car")}


def test_empty_world_gives_an_empty_sweep() -> None:
    sweep = scan(World(static=[Layer(empty_mesh())]), lidar_at(), LidarSpec(), rng())
    assert sweep.points.shape == (0, 3)
    assert sweep.points.dtype == np.float32


def test_own_roof_is_unknown() -> None:
    roof = box(Surface(EGO, "paint", (230, 230, 230)), (4.0, 1.7, 1.54), (0.0, 0.0, 0.0))
    sweep = scan(World(static=[Layer(flat_ground()), Layer(roof)]), lidar_at(), CLEAN, rng())
    assert (sweep.kind[np.linalg.norm(sweep.points, axis=1) < 0.65] == UNKNOWN).all()


def test_range_noise_has_the_stated_spread() -> None:
    """Points 3.607 m away with 2 cm noise: the sample deviation of about 1,000 is within 10 % of 2 cm (5 sigma)."""
    spec = LidarSpec(range_noise_m=0.02, dropout=0.0)
    sweep = scan(World(static=[Layer(flat_ground())]), lidar_at(), spec, rng())
    distance = np.linalg.norm(sweep.points[sweep.ring == 0], axis=1)
    assert np.std(distance) == pytest.approx(0.02, rel=0.12)


def test_reflectors_are_brighter_than_asphalt_and_intensity_stays_in_0_to_255() -> None:
    sign = Surface("traffic sign", "reflector", (240, 240, 240))
    asphalt = Surface("road", "asphalt", (90, 90, 95))
    layers = [Layer(merge([flat_ground(asphalt), box(sign, (0.1, 4.0, 4.0), (10.0, 0.0, 0.0))]))]
    sweep = scan(World(static=layers), lidar_at(), CLEAN, rng())
    on_sign = sweep.kind == KINDS.index("traffic sign")
    assert np.median(sweep.intensity[on_sign]) > 200
    assert np.median(sweep.intensity[~on_sign]) < 30
    assert 0 <= sweep.intensity.min() <= sweep.intensity.max() <= 255


def moved_forward(pose: NDArray[np.float64], distance_m: float) -> NDArray[np.float64]:
    moved = pose.copy()
    moved[0, 3] += distance_m
    return moved


def test_revolution_lasts_50_ms_and_ends_at_the_stamp() -> None:
    """The front (azimuth 90 deg) is passed 98 of 360 degrees after the start at -172 deg: 36.4 ms before the stamp."""
    sweep = scan(World(static=[Layer(flat_ground())]), lidar_at(), CLEAN, rng())
    assert sweep.time_offset_s.dtype == np.float32
    assert sweep.time_offset_s.min() == pytest.approx(-0.05, abs=2e-4)
    assert sweep.time_offset_s.max() == pytest.approx(0.0, abs=1e-6)
    assert (np.diff(sweep.time_offset_s) >= 0).all()
    ahead = np.abs(sweep.points[:, 0] / sweep.points[:, 1]) < 0.01
    front = ahead & (sweep.points[:, 1] > 0)
    assert np.median(sweep.time_offset_s[front]) == pytest.approx(-0.0364, abs=5e-4)


def test_own_motion_is_compensated_in_a_rolling_sweep() -> None:
    """A lidar that drives 1 m during the revolution sees a wall 10 m ahead of its last place at 10 m, not at 11 m."""
    wall = Layer(box(CAR, (1.0, 60.0, 4.0), (10.5, 0.0, 0.0)))
    sweep = scan(World(static=[wall]), lidar_at(), CLEAN, rng(), begin=moved_forward(lidar_at(), -1.0))
    ahead = sweep.points[sweep.points[:, 2] > -1.5]
    assert len(ahead) > 1_000
    assert ahead[:, 1] == pytest.approx(10.0, abs=1e-3)


def test_movers_are_met_where_they_are_when_the_beams_pass() -> None:
    """The car ahead is looked at in the first third of the revolution: it is seen at 10 m, where it was then."""
    shares = [Layer(box(CAR, (4.0, 1.8, 1.5), (12.0 + step, 0.0, 0.0))) for step in (0.0, 5.0, 9.0)]
    assert share_of_revolution(0.0, 12.0) == pytest.approx(98 / 360, abs=1e-6)
    sweep = scan(World(static=[Layer(flat_ground())], moving=shares), lidar_at(), CLEAN, rng())
    rear = sweep.points[(sweep.kind == KINDS.index("car")) & (sweep.points[:, 2] < -0.35)]
    assert rear[:, 1].min() == pytest.approx(10.0, abs=1e-3)
    assert rear[:, 1].max() == pytest.approx(10.0, abs=1e-3)


def test_finish_makes_one_thing_brighter_than_another() -> None:
    """Two equal walls left and right, the right one with a factor of 4; both beyond the distance of weak returns."""
    left, right = (number(box(CAR, (40.0, 1.0, 4.0), (0.0, 10.5 * side, 0.0)), row) for row, side in ((0, 1), (1, -1)))
    finish = Finish(material=np.ones(64), thing=np.array([1.0, 4.0]), near_m=5.0)
    sweep = scan(World(static=[Layer(merge([left, right]))], finish=finish), lidar_at(), CLEAN, rng())
    ratio = sweep.intensity[sweep.instance == 1].mean() / sweep.intensity[sweep.instance == 0].mean()
    assert ratio == pytest.approx(4.0, rel=0.1)


def test_camera_labels_a_known_box_at_its_known_pixels() -> None:
    """Front camera at x = 1.70, z = 1.51, focal 0.79 * 400 = 316 px, centre (203.5, 122.125).

    A wall 2 m wide whose face is at x = 11.70 is 10 m away: its sides are at u = 203.5 -+ 316 * 1 / 10 = 171.9 and
    235.1, its top (z = 2.51) at v = 122.125 - 31.6 = 90.5, its foot (z = 0) at v = 122.125 + 316 * 0.151 = 169.8.
    """
    mount, size = CAMERAS[0], (400, 225)
    wall = box(CAR, (1.0, 2.0, 2.51), (12.2, 0.0, 0.0))
    layers = [Layer(merge([flat_ground(), wall]))]
    light = Light(azimuth=0.0, elevation=math.radians(45))
    image, labels = render(layers, ego_from_camera(mount), intrinsics(mount, size), size, light)
    assert image.shape == (225, 400, 3)
    assert image.dtype == np.uint8
    rows, columns = np.nonzero(labels.labels == KINDS.index("car"))
    assert (columns.min(), columns.max()) == (172, 235)
    assert (rows.min(), rows.max()) == (91, 169)
    assert (labels.labels[:90] == SKY).all()
    assert (labels.labels[200:] == KINDS.index("road")).all()


def test_surface_towards_the_sun_is_brighter_than_one_in_shadow() -> None:
    """The sun stands behind the camera in one picture and behind the wall in the other."""
    mount, size = CAMERAS[0], (64, 36)
    layers = [Layer(merge([flat_ground(), box(CAR, (1.0, 6.0, 6.0), (12.0, 0.0, 0.0))]))]
    mean = {}
    for azimuth in (math.pi, 0.0):
        light = Light(azimuth=azimuth, elevation=math.radians(30))
        image, labels = render(layers, ego_from_camera(mount), intrinsics(mount, size), size, light)
        mean[azimuth] = image[labels.labels == KINDS.index("car")].mean()
    assert mean[math.pi] > 1.3 * mean[0.0]


def test_overcast_sky_casts_no_shadows() -> None:
    """With and without shadows: under the sun the images differ, under clouds they are the same."""
    mount, size = CAMERAS[0], (64, 36)
    layers = [Layer(merge([flat_ground(), box(CAR, (1.0, 6.0, 6.0), (12.0, 0.0, 0.0))]))]
    lights = Light(azimuth=0.0, elevation=math.radians(30))  # behind the wall, whose shadow falls this way
    equal = {}
    for cloud in (0.0, 1.0):
        dark, plain = (
            render(
                layers, ego_from_camera(mount), intrinsics(mount, size), size, replace(lights, cloud=cloud, shadows=on)
            )
            for on in (True, False)
        )
        equal[cloud] = np.array_equal(dark[0], plain[0])
    assert equal == {0.0: False, 1.0: True}


@pytest.mark.parametrize("material", ["brick", "paving", "asphalt", "turf", "leaves", "wood", "cloth", "mesh"])
def test_patterns_show_near_and_fade_far_without_changing_the_mean(material: str) -> None:
    """On 4 m x 4 m of a wall: what is left at 2 m per pixel are soft clouds, and the mean stays within 10 %."""
    side = np.linspace(0, 4, 120, dtype=np.float32)
    u, v = np.meshgrid(side, side)
    at = np.stack([np.zeros(u.size), u.ravel(), v.ravel()], axis=1).astype(np.float32)
    normal = np.tile(np.array([1.0, 0.0, 0.0], np.float32), (len(at), 1))
    rows = np.full(len(at), material_id(material), np.int16)
    near, far = (texture(rows, at, normal, np.full(len(at), pixel, np.float32)) for pixel in (0.001, 2.0))
    assert near.std() > 0.03
    assert near.std() > 1.15 * far.std()
    assert near.mean() == pytest.approx(far.mean(), rel=0.1)


def test_left_camera_looks_left() -> None:
    """The optical axis (third column) of CAM_FRONT_LEFT points forward (+x) and left (+y) of the ego vehicle."""
    mount = next(mount for mount in CAMERAS if mount.name == "CAM_FRONT_LEFT")
    axis = ego_from_camera(mount)[:3, 2]
    assert axis == pytest.approx([math.cos(math.radians(55)), math.sin(math.radians(55)), 0.0])
