# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Compressed images that are cut, damaged or made to do harm are refused, and cost little."""

from __future__ import annotations

import io
import random
import struct
import threading
import tracemalloc
import weakref
import zlib

import numpy as np
import pytest
from packed_images import (
    MAGIC,
    chunk,
    depth_message,
    flat_jpeg,
    ihdr,
    packed,
    png,
    png_of,
)

from robocache_ros.codec.compressed import PackedImage, decode_compressed
from robocache_ros.codec.image import ImageView
from robocache_ros.codec.packed_file import PackedFile
from robocache_ros.reasons import Reason, Rejected

pillow = pytest.importorskip('PIL.Image', reason='needs Pillow, which decodes')
pillow_files = pytest.importorskip('PIL.ImageFile', reason='needs Pillow, which decodes')
pytestmark = pytest.mark.filterwarnings('error')

RNG = np.random.default_rng(5)
NOISE = RNG.integers(0, 256, (24, 40, 3), np.uint8)
RAMP = [[(17 * x + 5 * y) % 256 for x in range(40)] for y in range(24)]


def saved(image, kind, **options):
    out = io.BytesIO()
    pillow.fromarray(image).save(out, kind, **options)
    return out.getvalue()


FILES = {
    'jpeg': (saved(NOISE, 'JPEG'), 'jpeg'),
    'progressive': (saved(NOISE, 'JPEG', progressive=True), 'jpeg'),
    'grey jpeg': (saved(NOISE[:, :, 0], 'JPEG', quality=95), 'mono8; jpeg compressed mono8'),
    'by hand': (flat_jpeg(200, 200, 100), 'jpeg'),
    'png': (saved(NOISE, 'PNG'), 'png'),
    'palette': (saved(NOISE[:, :, 0], 'PNG', bits=8), 'png'),
    '16 bits': (png([[257 * v for v in row] for row in RAMP], 16), 'png'),
    'depth': (
        bytes(depth_message([[257 * v for v in row] for row in RAMP], '', 2.0, 0.5).data),
        '32FC1; compressedDepth png',
    ),
}
REASONS = {Reason.IMAGE_CORRUPT, Reason.IMAGE_FORMAT, Reason.IMAGE_SIZE, Reason.TOO_LARGE}


def refusal(data, text='png'):
    with pytest.raises(Rejected) as refused:
        decode_compressed(packed(data, text)).unpacked()
    return refused.value


def tried(data, text):
    """Return what a message gives; fails where that is neither an image nor a refusal."""
    try:
        view = decode_compressed(packed(data, text)).unpacked()
    except Rejected as error:
        refused = error
    else:
        refused = None
    if refused is not None:
        assert refused.reason in REASONS
        assert 10 < len(refused.detail) < 300
        return refused
    assert view.pixels().shape[:2] == (view.height, view.width)
    assert view.data.size == view.height * view.step
    return view


# -- cut --------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', FILES)
def test_file_that_is_cut_anywhere_is_corrupt(name):
    data, text = FILES[name]
    assert isinstance(tried(data, text), ImageView)
    for size in (*range(0, len(data), 37), len(data) - 2, len(data) - 1):
        found = refusal(data[:size], text)
        assert found.reason is Reason.IMAGE_CORRUPT, size


@pytest.mark.parametrize('name', ['jpeg', 'progressive', 'png', 'depth'])
def test_process_that_accepts_cut_files_does_not_make_them_accepted_here(name, monkeypatch):
    monkeypatch.setattr(pillow_files, 'LOAD_TRUNCATED_IMAGES', True)
    data, text = FILES[name]
    for size in range(0, len(data), 61):
        assert refusal(data[:size], text).reason is Reason.IMAGE_CORRUPT


def test_process_that_lowers_the_limit_of_pillow_gets_no_warning(monkeypatch):
    monkeypatch.setattr(pillow, 'MAX_IMAGE_PIXELS', 10)
    for data, text in FILES.values():
        assert isinstance(tried(data, text), ImageView)


def test_jpeg_whose_only_end_is_that_of_a_thumbnail_is_cut():
    data = flat_jpeg(
        200, 64, 64, b'\xff\xe1' + struct.pack('>H', 2 + len(flat_jpeg())) + flat_jpeg()
    )
    assert isinstance(tried(data, ''), ImageView)
    assert refusal(data[:-2]).detail == 'JPEG: ends early'


def test_jpeg_without_the_bits_of_its_blocks_is_corrupt():
    data = flat_jpeg(200, 2000, 1000)
    at = data.index(b'\xff\xda')
    assert refusal(data[: at + 12] + bytes(9000)).reason is Reason.IMAGE_CORRUPT


# -- damaged ----------------------------------------------------------------------------------


@pytest.mark.parametrize('name', FILES)
def test_damaged_file_is_an_image_or_refused(name):
    data, text = FILES[name]
    rng = random.Random(name)
    for _ in range(500):
        broken = bytearray(data)
        for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
            if rng.random() < 0.7:
                broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
            else:
                broken[rng.randrange(min(len(broken), 700))] = rng.choice((0, 255, 217, 218, 192))
        tried(bytes(broken), text)


@pytest.mark.parametrize('name', FILES)
def test_file_with_bytes_put_in_or_taken_out_is_an_image_or_refused(name):
    data, text = FILES[name]
    rng = random.Random(name)
    for _ in range(200):
        at, length = rng.randrange(len(data)), rng.choice((1, 2, 16, 100))
        tried(data[:at] + rng.randbytes(length) + data[at + rng.choice((0, length)) :], text)
        tried(data[:at] + data[at + length :], text)


def test_noise_behind_a_good_begin_is_an_image_or_refused():
    rng = random.Random(8)
    for _ in range(300):
        for data, text in FILES.values():
            keep = rng.randrange(min(len(data), 800))
            tried(data[:keep] + rng.randbytes(rng.randrange(2000)), text)


@pytest.mark.parametrize('name', ['png', 'palette', '16 bits', 'depth'])
def test_single_wrong_bit_of_the_pixels_of_a_png_shows(name):
    data, text = FILES[name]
    begin, end = data.index(b'IDAT') + 4, data.rindex(b'IEND') - 4
    for at in range(begin, end, 13):
        broken = bytearray(data)
        broken[at] ^= 4
        assert 'checksum of a chunk IDAT' in refusal(bytes(broken), text).detail


def test_filter_that_does_not_exist_is_corrupt():
    assert refusal(png_of(3, 2, b'\x00abc\x05abc')).reason is Reason.IMAGE_CORRUPT


@pytest.mark.parametrize('palette', [b'', b'1234', bytes(3 * 4)])
def test_palette_that_is_missing_odd_or_too_short_is_corrupt(palette):
    before = chunk(b'PLTE', palette) if palette else b''
    rows = bytes((0, 1, 2, 3, 4))
    assert refusal(png_of(4, 1, rows, 8, 3, before=before)).reason is Reason.IMAGE_CORRUPT


# -- made to do harm --------------------------------------------------------------------------


def peak_of(data, text='png'):
    """Most bytes that Python and NumPy held for a message at one time, and what it gave."""
    message = packed(data, text)
    tracemalloc.start()
    try:
        result = decode_compressed(message).unpacked()
    except Rejected as refused:
        result = refused
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak, result


def test_png_that_unpacks_to_more_than_it_says_is_refused_for_little():
    data = png_of(64, 64, bytes(2**27), level=9)
    peak, refused = peak_of(data)
    assert refused.reason is Reason.IMAGE_CORRUPT
    assert refused.detail == 'PNG: its data unpacks to more than its header says'
    assert peak < 2 * len(data) + 200_000


@pytest.mark.parametrize('rows', [65 * 64 - 1, 65 * 63, 1, 0])
def test_png_that_unpacks_to_less_than_it_says_is_refused(rows):
    assert refusal(png_of(64, 64, bytes(rows))).detail == 'PNG: its data ends early'


def test_png_whose_data_goes_on_elsewhere_is_refused():
    rows = zlib.compress(bytes(65 * 64))
    for broken in (rows[:-4], rows[:-1] + b'!'):  # no checksum of its own, or a wrong one
        data = MAGIC + ihdr(64, 64) + chunk(b'IDAT', broken) + chunk(b'IEND')
        assert refusal(data).reason is Reason.IMAGE_CORRUPT


@pytest.mark.parametrize(('depth', 'colour'), [(8, 0), (8, 2), (16, 0), (8, 6), (1, 0), (8, 4)])
def test_memory_of_a_large_png_is_a_few_bytes_a_pixel(depth, colour):
    values = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    data = png_of(2000, 1000, bytes(1000 * (1 + 2000 * values * depth // 8)), depth, colour)
    peak, view = peak_of(data)
    assert view.pixels().shape[:2] == (1000, 2000)
    assert peak < 12 * 2_000_000


def test_text_and_profiles_of_any_size_are_not_unpacked():
    bomb = zlib.compress(bytes(2**26), 9)
    before = b''.join(
        (
            chunk(b'zTXt', b'comment\0\0' + bomb),
            chunk(b'iTXt', b'comment\0\1\0\0\0' + bomb),
            chunk(b'iCCP', b'profile\0\0' + bomb),
            chunk(b'acTL', struct.pack('>II', 2**31, 0)),
            chunk(b'tEXt', bytes(2**20)),
        )
    )
    data = png(RAMP, before=before)
    peak, view = peak_of(data)
    assert view.plane('y').tolist() == RAMP
    assert peak < 2**20


def test_endless_chunks_are_given_up():
    data = png(RAMP, before=chunk(b'tEXt') * 100_000)
    assert refusal(data).detail == 'PNG: more than 65536 chunks'


def test_chunk_longer_than_the_file_is_refused():
    data = MAGIC + ihdr(8, 8) + struct.pack('>I', 2**32 - 1) + b'IDAT' + bytes(100)
    assert refusal(data).detail == 'PNG: ends before its last chunk'


def test_progressive_jpeg_with_scan_after_scan_is_refused():
    data = saved(NOISE, 'JPEG', progressive=True)
    last = data[data.rindex(b'\xff\xda') : -2]
    assert isinstance(tried(data[:-2] + 10 * last + b'\xff\xd9', ''), ImageView)
    found = refusal(data[:-2] + 40 * last + b'\xff\xd9')
    assert (found.reason, found.detail) == (Reason.IMAGE_CORRUPT, 'JPEG: more than 32 scans')


def test_second_frame_of_another_size_is_not_believed():
    small, large = flat_jpeg(200, 8, 8), flat_jpeg(200, 640, 640)
    frame = large[large.index(b'\xff\xc0') : large.index(b'\xff\xc4')]
    at = small.index(b'\xff\xc4')
    assert refusal(small[:at] + frame + small[at:]).reason is Reason.IMAGE_CORRUPT


# -- asked for by several ---------------------------------------------------------------------


def test_pixels_are_decoded_once_for_all_threads_that_ask():
    calls, found = [], []
    begun, again = threading.Event(), threading.Event()

    def decode():
        (again if calls else begun).set()
        calls.append(1)
        again.wait(0.2)  # until somebody comes in who should not
        return np.full((2, 3), 7, np.uint8)

    image = PackedImage(PackedFile(2, 3, 'mono8', decode), 'camera')
    threads = [threading.Thread(target=lambda: found.append(image.unpacked())) for _ in range(8)]
    threads[0].start()
    assert begun.wait(10)
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(calls) == 1
    assert len(found) == 8
    assert all(view is found[0] for view in found)
    assert (found[0].plane('y') == 7).all()


def counted(calls, pixels=7):
    """Return a packed image that notes in `calls` each time it is decoded."""

    def decode():
        calls.append(1)
        return np.full((2, 3), pixels, np.uint8)

    return PackedImage(PackedFile(2, 3, 'mono8', decode), 'camera')


def test_pixels_that_nobody_keeps_go_with_their_last_user():
    calls = []
    image = counted(calls)
    view = image.unpacked(keep=False)
    assert image.unpacked(keep=False) is view  # shared as long as somebody uses it
    gone = weakref.ref(view)
    del view
    assert gone() is None
    assert len(calls) == 1
    assert (image.unpacked(keep=False).plane('y') == 7).all()
    assert len(calls) == 2


def test_pixels_that_somebody_keeps_are_those_that_others_use():
    calls = []
    image = counted(calls)
    passing = image.unpacked(keep=False)
    assert image.unpacked() is passing
    gone = weakref.ref(passing)
    del passing
    assert image.unpacked(keep=False) is gone() is not None
    assert len(calls) == 1


def test_threads_that_keep_nothing_share_what_is_decoded():
    calls, users = [], threading.Barrier(8, timeout=10)
    image, found = counted(calls), []

    def use():
        found.append(image.unpacked(keep=False))
        users.wait()

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(calls) == 1
    assert len(found) == 8


def test_refusal_is_remembered_though_nothing_is_kept():
    calls = []

    def decode():
        calls.append(1)
        raise Rejected(Reason.IMAGE_CORRUPT, 'cut')

    image = PackedImage(PackedFile(2, 3, 'mono8', decode), 'camera')
    for _ in range(3):
        with pytest.raises(Rejected, match='cut'):
            image.unpacked(keep=False)
    assert len(calls) == 1


def test_refusal_is_remembered():
    calls = []

    def decode():
        calls.append(1)
        raise Rejected(Reason.IMAGE_CORRUPT, 'cut')

    image = PackedImage(PackedFile(2, 3, 'mono8', decode), 'camera')
    seen = []
    for _ in range(3):
        with pytest.raises(Rejected, match='cut') as refused:
            image.unpacked()
        seen.append(refused.value)
    assert len(calls) == 1
    assert len(set(map(id, seen))) == 3  # one would grow by a traceback at every turn


def test_compressed_bytes_are_let_go_once_they_are_decoded():
    message = packed(FILES['jpeg'][0])
    image = decode_compressed(message)
    with pytest.raises(BufferError):
        message.data.append(0)
    image.unpacked(keep=False)
    with pytest.raises(BufferError):
        message.data.append(0)
    image.unpacked()
    message.data.append(0)


def test_threads_decode_many_files_side_by_side():
    expected = {name: tried(*file).data.tobytes() for name, file in FILES.items()}
    wrong = []

    def run(seed):
        names = list(FILES) * 5
        random.Random(seed).shuffle(names)
        wrong.extend(n for n in names if tried(*FILES[n]).data.tobytes() != expected[n])

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
