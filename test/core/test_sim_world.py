# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rays against boxes, walls and floor: by hand, and against plain rectangles."""

from __future__ import annotations

import numpy as np
import pytest

from robocache_ros.sim import Box, World
from robocache_ros.sim import world as world_module
from robocache_ros.sim.world import BOXES, FLOOR, SKY, WALLS

YARD = Box((-10.0, -10.0, 0.0), (10.0, 10.0, 2.0), (9, 9, 9), 0.5)
BOX = Box((4.0, -1.0, 0.0), (6.0, 1.0, 1.5), (200, 100, 50), 0.8)


def cast(world, origin, *directions):
    rays = np.array(directions, np.float64).T
    rays /= np.sqrt((rays**2).sum(axis=0))
    return world.cast(np.array([origin], np.float32).T, rays.astype(np.float32))


def rectangles(world):
    """Every surface as (number, axis, plane, low corner, high corner), worked out box by box."""
    low, high = world.yard.low, world.yard.high
    for number, (axis, plane) in enumerate([(0, low[0]), (0, high[0]), (1, low[1]), (1, high[1])]):
        yield WALLS + number, axis, plane, low, high
    yield FLOOR, 2, low[2], low, high
    for number, box in enumerate(world.boxes):
        for axis in range(3):
            yield BOXES + 6 * number + 2 * axis, axis, box.low[axis], box.low, box.high
            yield BOXES + 6 * number + 2 * axis + 1, axis, box.high[axis], box.low, box.high


def nearest_rectangle(world, origin, direction):
    best = (np.inf, SKY)
    for number, axis, plane, low, high in rectangles(world):
        if abs(direction[axis]) < 1e-9:
            continue
        distance = (plane - origin[axis]) / direction[axis]
        place = origin + distance * direction
        others = [i for i in range(3) if i != axis]
        if distance > 0 and all(low[i] <= place[i] <= high[i] for i in others):
            best = min(best, (distance, number))
    return best


def test_a_ray_meets_the_near_face_of_the_box_ahead():
    hits = cast(World([BOX], YARD), (1.0, 0.0, 1.0), (1, 0, 0))
    assert hits.distance[0] == 3.0
    assert hits.surface[0] == BOXES  # its low x face


@pytest.mark.parametrize(
    ('origin', 'direction', 'distance', 'face'),
    [
        ((9.0, 0.0, 1.0), (-1, 0, 0), 3.0, 1),  # high x
        ((5.0, -4.0, 1.0), (0, 1, 0), 3.0, 2),  # low y
        ((5.0, 4.0, 1.0), (0, -1, 0), 3.0, 3),  # high y
        ((5.0, 0.0, 1.9), (0, 0, -1), 0.4, 5),  # high z, from above
        ((3.0, 0.0, 1.0), (3, 4, 0), None, None),  # passes beside it
    ],
)
def test_a_ray_names_the_face_it_enters_through(origin, direction, distance, face):
    hits = cast(World([BOX], YARD), origin, direction)
    if face is None:
        assert hits.surface[0] < BOXES
    else:
        assert hits.surface[0] == BOXES + face
        assert hits.distance[0] == pytest.approx(distance, abs=1e-6)


def test_a_ray_down_at_30_degrees_from_1_6_m_meets_the_floor_after_3_2_m():
    hits = cast(World([], YARD), (0.0, 0.0, 1.6), (np.cos(np.pi / 6), 0, -0.5))
    assert hits.distance[0] == pytest.approx(3.2, abs=1e-6)
    assert hits.surface[0] in (FLOOR, FLOOR + 1)


def test_floor_tiles_alternate_every_two_metres():
    world = World([], YARD)
    tiles = [cast(world, (x, 1.0, 1.0), (0, 0, -1)).surface[0] for x in (0.5, 1.5, 2.5, 4.5)]
    assert tiles == [FLOOR, FLOOR, FLOOR + 1, FLOOR]


def test_a_ray_over_the_wall_meets_the_sky_and_one_under_its_edge_the_wall():
    # The wall is 10 m away and reaches 1 m above the origin.
    hits = cast(World([], YARD), (0.0, 0.0, 1.0), (10, 0, 1.01), (10, 0, 0.99), (0, -1, 0))
    assert list(hits.surface) == [SKY, WALLS + 1, WALLS + 2]
    assert np.isinf(hits.distance[0])
    assert hits.distance[1] == pytest.approx(np.hypot(10, 0.99), rel=1e-6)


def test_the_nearer_of_two_boxes_hides_the_other():
    behind = Box((7.0, -1.0, 0.0), (8.0, 1.0, 1.8), (0, 0, 0), 0.1)
    for boxes in ([BOX, behind], [behind, BOX]):
        hits = cast(World(boxes, YARD), (0.0, 0.0, 1.0), (1, 0, 0))
        assert hits.distance[0] == 4.0
        assert (hits.surface[0] - BOXES) // 6 == boxes.index(BOX)


def test_a_box_just_behind_is_not_met():
    hits = cast(World([BOX], YARD), (6.5, 0.0, 1.0), (1, 0, 0))
    assert hits.distance[0] == 3.5
    assert hits.surface[0] == WALLS + 1


def test_random_rays_meet_what_plain_rectangles_say():
    world = World()
    random = np.random.default_rng(1)
    origin = np.array([0.7, -0.4, 1.3])
    rays = random.standard_normal((3, 400))
    rays /= np.sqrt((rays**2).sum(axis=0))
    hits = world.cast(origin[:, None].astype(np.float32), rays.astype(np.float32))
    surface = np.where(hits.surface == FLOOR + 1, FLOOR, hits.surface)
    for ray in range(400):
        distance, number = nearest_rectangle(world, origin, rays[:, ray])
        assert surface[ray] == number
        assert hits.distance[ray] == pytest.approx(distance, abs=1e-3)


def test_rays_from_many_places_in_chunks_are_the_rays_one_by_one(monkeypatch):
    world = World()
    random = np.random.default_rng(2)
    origins = random.uniform(-1, 1, (3, 50)).astype(np.float32)
    origins[2] += 1.5
    rays = random.standard_normal((3, 50))
    rays = (rays / np.sqrt((rays**2).sum(axis=0))).astype(np.float32)
    alone = [world.cast(origins[:, i : i + 1], rays[:, i : i + 1]) for i in range(50)]
    monkeypatch.setattr(world_module, 'CHUNK', 7)
    together = world.cast(origins, rays)
    assert np.array_equal(together.surface, [hits.surface[0] for hits in alone])
    assert np.array_equal(together.distance, [hits.distance[0] for hits in alone])


def test_the_top_of_a_box_has_its_colour_and_its_sides_are_darker():
    world = World([BOX], YARD)
    top = BOXES + 5
    assert tuple(world.colors[top]) == BOX.color
    assert world.normal_axis[top] == 2
    assert (world.colors[BOXES : BOXES + 5] < world.colors[top]).all()
    assert world.reflectivity[BOXES] == np.float32(0.8)
