# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files of networks: those that are loaded compute what torch does, the others are refused."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import threading
import warnings
import zipfile

import numpy as np
import pytest
from fake_network import DEADLINE_SEC

from robocache_ros.codec.image import ImageView
from robocache_ros.config import Config, ConfigError, EncoderConfig, ImageSource
from robocache_ros.encoding import EncoderPool, InlineEncoder, open_encoders
from robocache_ros.encoding.model import Model
from robocache_ros.encoding.model_file import ModelFile
from robocache_ros.reasons import Reason

torch = pytest.importorskip('torch', reason='encoders need PyTorch')

SIZE = (6, 8)
WIDTH = 5
MEAN, STD = (0.5, 0.25, 0.125), (0.5, 1.0, 2.0)


class Net(torch.nn.Module):
    """A convolution, a mean, a linear layer: what image encoders are made of."""

    def __init__(self, channels=3, shape=(1, WIDTH)):
        super().__init__()
        torch.manual_seed(3)
        self.features = torch.nn.Conv2d(channels, 4, 3)
        self.head = torch.nn.Linear(4, WIDTH)
        self.noise = torch.nn.Dropout(0.5)
        self.shape = list(shape)

    def forward(self, x):
        means = self.features(x).relu().mean((2, 3))
        return self.noise(self.head(means)).reshape(self.shape)


class Other(torch.nn.Module):
    """Puts out whatever a function makes of the image."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def example(channels=3):
    return torch.zeros(1, channels, *SIZE)


def save(path, module, how='trace', channels=3):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # TorchScript is deprecated, and still what people have
        if how == 'export':
            torch.export.save(torch.export.export(module.eval(), (example(channels),)), path)
        elif how == 'script':
            torch.jit.script(module).save(path)
        else:
            torch.jit.trace(module.eval(), example(channels)).save(path)
    return path


@pytest.fixture(scope='module', params=['trace', 'script', 'export'])
def network(request, tmp_path_factory):
    """Path of the same network in every format."""
    name = f'model.{"pt2" if request.param == "export" else "pt"}'
    return save(tmp_path_factory.mktemp(request.param) / name, Net(), request.param)


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    return save(tmp_path_factory.mktemp('exported') / 'model.pt2', Net(), 'export')


def source(path, **encoder):
    given = {'width': WIDTH, 'input_size': SIZE, 'mean': MEAN, 'std': STD, 'device': 'cpu'}
    config = EncoderConfig(**{'path': str(path), **given, **encoder})
    return ImageSource('camera', encoder=config)


def refusal(path, **encoder):
    with pytest.raises(ConfigError) as caught:
        Model.open(source(path, **encoder))
    (sentence,) = caught.value.problems
    return sentence


def noise(encoding='rgb8', height=SIZE[0], width=SIZE[1], size=3):
    values = np.random.default_rng(1).integers(0, 256, (height, width, size), np.uint8)
    data = np.frombuffer(values.tobytes(), np.uint8)
    return ImageView(data, height, width, width * size, encoding, False), values


# -- what is computed ---------------------------------------------------------------------------


def test_an_encoding_is_what_the_network_makes_of_the_image(network):
    image, values = noise()
    encoding = Model.open(source(network)).encode(image)
    fed = (values / 255 - MEAN) / STD
    with torch.no_grad():
        expected = Net().eval()(torch.tensor(fed.transpose(2, 0, 1)[None], dtype=torch.float32))
    assert encoding.dtype == np.float32
    np.testing.assert_allclose(encoding, expected[0].numpy(), rtol=1e-5, atol=1e-6)
    assert np.abs(encoding).max() > 0.1  # or dropout would not show


def test_images_are_resized_as_pillow_does_it(tmp_path):
    pillow = pytest.importorskip('PIL.Image', reason='Pillow resizes by the same rule')
    path = save(tmp_path / 'same.pt', Other(lambda x: x.reshape(1, -1)))
    image, values = noise(height=23, width=41)
    width = 3 * SIZE[0] * SIZE[1]
    model = Model.open(source(path, width=width, mean=(0.0,) * 3, std=(1.0,) * 3))
    planes = np.float32(values.transpose(2, 0, 1) / 255)
    resized = [
        pillow.fromarray(plane).resize(SIZE[::-1], pillow.Resampling.BILINEAR) for plane in planes
    ]
    expected = np.array([np.asarray(plane) for plane in resized]).ravel()
    np.testing.assert_allclose(model.encode(image), expected, atol=1e-6)


def test_shrinking_is_antialiased(tmp_path):
    """To half the size: a triangle of two pixels to each side, cut and normed at the border."""
    path = save(tmp_path / 'same.pt', Other(lambda x: x.reshape(1, -1)), channels=1)
    model = Model.open(source(path, width=2 * 48 // 2, mean=(0.0,), std=(1.0,)))
    row = np.zeros(2 * SIZE[1], np.float32)
    row[4:6] = 8.0, 16.0
    data = np.tile(row, SIZE[0]).view(np.uint8)
    image = ImageView(data, SIZE[0], len(row), data.size // SIZE[0], '32FC1', False)
    # Pixel j lies at j + 0.5, output i at 2 i + 1; weights 1/8 3/8 3/8 1/8.
    expected = [0, 8 / 8, 8 * 3 / 8 + 16 * 3 / 8, 16 / 8, 0, 0, 0, 0]
    np.testing.assert_allclose(model.encode(image).reshape(SIZE)[0], expected, atol=1e-6)


@pytest.mark.parametrize(('encoding', 'order'), [('rgb8', 'rgb'), ('bgra8', 'bgr')])
def test_channels_are_red_green_and_blue_whatever_the_encoding(tmp_path, encoding, order):
    path = save(tmp_path / 'means.pt', Other(lambda x: x.mean((2, 3))))
    image, values = noise(encoding, size=len(encoding.rstrip('8')))
    model = Model.open(source(path, width=3))
    means = values.mean((0, 1)) / 255
    expected = [(means[order.index(c)] - m) / s for c, m, s in zip('rgb', MEAN, STD, strict=True)]
    np.testing.assert_allclose(model.encode(image), expected, rtol=1e-4)


def test_one_mean_feeds_one_channel_and_depths_that_are_missing_are_0(tmp_path):
    path = save(tmp_path / 'sum.pt', Other(lambda x: x.sum((2, 3))), channels=1)
    depths = np.full(SIZE, np.nan, np.float32)
    depths[2, 3] = 12.5
    data = depths.reshape(-1).view(np.uint8)
    image = ImageView(data, *SIZE, SIZE[1] * 4, '32FC1', False)
    model = Model.open(source(path, width=1, mean=(0.0,), std=(2.0,)))
    assert model.encode(image).tolist() == [6.25]


@pytest.mark.parametrize('how', ['trace', 'export'])
def test_an_output_with_two_axes_of_one_is_flattened(tmp_path, how):
    path = save(tmp_path / 'model', Net(shape=(1, WIDTH, 1, 1)), how)
    assert Model.open(source(path)).encode(noise()[0]).shape == (WIDTH,)


def test_a_network_saved_while_it_was_trained_is_set_to_evaluate(tmp_path):
    path = save(tmp_path / 'model.pt', Net().train(), 'script')
    model = Model.open(source(path))
    first = model.encode(noise()[0])
    assert all((model.encode(noise()[0]) == first).all() for _ in range(4))


def test_half_precision_outputs_become_float32(tmp_path):
    path = save(tmp_path / 'half.pt', Other(lambda x: x.mean((2, 3)).to(torch.float16)))
    assert Model.open(source(path, width=3)).encode(noise()[0]).dtype == np.float32


def test_an_encoding_is_nobody_elses_memory(tmp_path):
    class Constant(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer('kept', torch.arange(3.0).reshape(1, 3))

        def forward(self, x):
            return self.kept

    model = Model.open(source(save(tmp_path / 'model.pt', Constant(), 'script'), width=3))
    first = model.encode(noise()[0])
    first += 100
    assert model.encode(noise()[0]).tolist() == [0, 1, 2]


def test_networks_run_without_gradients_on_as_many_threads_as_asked_for():
    seen = []

    def look(x):
        seen.append((torch.is_inference_mode_enabled(), torch.get_num_threads()))
        return torch.zeros(1, WIDTH)

    before = torch.get_num_threads()
    Model(torch, look, '', source('x', threads=3).encoder, 'cpu').encode(noise()[0])
    assert seen == [(True, 3)]
    assert torch.get_num_threads() == before


def test_an_encoding_says_what_computed_it(network):
    model = Model.open(source(network))
    assert model.identity == f'torch {torch.__version__}, cpu'
    assert model.digest == hashlib.sha256(network.read_bytes()).hexdigest()


def test_messages_that_can_not_be_written_to_cause_no_warning(tmp_path):
    """torch warns once in a process, so it takes a fresh one."""
    path = save(tmp_path / 'model.pt2', Net(), 'export')
    program = f"""
from robocache_ros.config import EncoderConfig, ImageSource
from robocache_ros.encoding.model import Model, _test_image

config = EncoderConfig(path={str(path)!r}, width={WIDTH}, input_size={SIZE}, device='cpu')
Model.open(ImageSource('camera', encoder=config)).encode(_test_image(config))
"""
    argv = [sys.executable, '-W', 'error::UserWarning', '-c', program]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stderr) == (0, '')


# -- in threads, and without them ---------------------------------------------------------------


def test_threads_and_one_thread_encode_the_same(network):
    about = source(network, workers=2, timeout_sec=20.0)
    model = Model.open(about)
    images = [noise('mono8', 30, 40 + n, 1)[0] for n in range(8)]
    alone, together = [], {}
    inline = InlineEncoder(about, model)
    for image in images:
        inline.submit(image, alone.append)
    pool = EncoderPool(about, model)
    arrived = threading.Semaphore(0)

    def keep(n):
        return lambda result: (together.__setitem__(n, result), arrived.release())

    for n, image in enumerate(images):
        pool.submit(image, keep(n))
        if n % 2:  # no more than fit
            assert all(arrived.acquire(timeout=DEADLINE_SEC) for _ in range(2))
    pool.close()
    for n in range(8):
        np.testing.assert_array_equal(together[n], alone[n])
    assert inline.status().done == pool.status().done == 8


def test_open_encoders_opens_those_of_sources_that_have_one(network):
    block = {'path': str(network), 'width': WIDTH, 'input_size': list(SIZE)}
    config = Config.from_mapping(
        {
            'sources': ['lidar', 'left', 'right'],
            'left.type': 'image',
            'right.type': 'image',
            **{f'left.encoder.{key}': value for key, value in block.items()},
        }
    )
    live, replayed = open_encoders(config, live=True), open_encoders(config, live=False)
    assert set(live) == set(replayed) == {'left'}
    assert isinstance(live['left'], EncoderPool)
    assert isinstance(replayed['left'], InlineEncoder)
    assert live['left'].identity == replayed['left'].identity
    live['left'].close()


def test_what_is_wrong_with_all_encoders_is_told_at_once(tmp_path):
    config = Config.from_mapping(
        {
            'sources': ['lidar', 'left', 'right'],
            'left.type': 'image',
            'right.type': 'image',
            'left.encoder.path': str(tmp_path / 'a'),
            'left.encoder.width': 1,
            'right.encoder.path': str(tmp_path / 'b'),
            'right.encoder.width': 1,
        }
    )
    with pytest.raises(ConfigError) as caught:
        open_encoders(config, live=True)
    assert [sentence.split(':')[0] for sentence in caught.value.problems] == [
        'left.encoder.path', 'right.encoder.path',
    ]  # fmt: skip


# -- what does not fit --------------------------------------------------------------------------


def test_another_width_is_refused_with_the_one_to_set(network):
    assert 'puts out 5 values: set camera.encoder.width: 5' in refusal(network, width=384)


def test_another_input_is_refused_with_what_to_set(network, tmp_path):
    said = refusal(network, mean=(0.0,), std=(1.0,))
    assert 'does not take float32 [1, 1, 6, 8]' in said
    assert 'set camera.encoder.input_size, and as many numbers in mean and std' in said
    path = save(tmp_path / 'model.pt2', Net(), 'export')
    assert 'does not take float32 [1, 3, 7, 9]' in refusal(path, input_size=(7, 9))


@pytest.mark.parametrize(
    ('output', 'told'),
    [
        (lambda x: x.mean((0, 2, 3)), 'a tensor [3] instead of [1, width]'),
        (lambda x: x, 'a tensor [1, 3, 6, 8] instead'),
        (lambda x: x.mean(3), 'a tensor [1, 3, 6] instead'),
        (lambda x: x.mean((2, 3)).repeat(2, 1), 'a tensor [2, 3] instead'),
        (lambda x: (x.mean((2, 3)), x), 'a tuple instead of a tensor'),
    ],
)
def test_outputs_of_another_form_are_refused(tmp_path, output, told):
    said = refusal(save(tmp_path / 'model.pt', Other(output)), width=3)
    assert told in said
    assert 'wrap the network' in said


def test_a_network_that_puts_out_nan_is_refused(tmp_path):
    path = save(tmp_path / 'model.pt', Other(lambda x: x.mean((2, 3)) * float('nan')))
    assert '3 of 3 values are NaN' in refusal(path, width=3)


@pytest.mark.skipif(torch.cuda.is_available(), reason='this machine has a GPU')
def test_a_gpu_that_is_not_there_is_refused(network):
    assert 'camera.encoder.device must be auto or cpu here' in refusal(network, device='cuda')
    assert Model.open(source(network, device='auto')).device == 'cpu'


def test_without_torch_it_is_said_how_to_install_it(network, monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch', None)
    said = refusal(network)
    assert 'camera.encoder.path needs PyTorch' in said
    assert 'pip install torch' in said


# -- files that are not trusted -----------------------------------------------------------------


@pytest.fixture
def untouched(monkeypatch):
    """Fail if torch is shown the file at all."""

    def shown(*args, **kwargs):
        raise AssertionError('torch has seen the file')

    monkeypatch.setattr(torch.jit, 'load', shown)
    monkeypatch.setattr(torch.export, 'load', shown)


class Evil:
    """A pickle that leaves a mark when it is loaded."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def with_record(path, source_path, name, data):
    """Copy an archive with one record replaced or added; `name` lies in the folder of all."""
    with zipfile.ZipFile(source_path) as old, zipfile.ZipFile(path, 'w') as new:
        root = old.namelist()[0].partition('/')[0]
        for record in old.namelist():
            if record != f'{root}/{name}':
                new.writestr(record, old.read(record))
        new.writestr(f'{root}/{name}', data)
    return path


def pickled(thing):
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    return buffer.getvalue()


@pytest.mark.usefixtures('untouched')
def test_another_file_than_the_digest_asks_for_is_refused_before_torch_sees_it(exported):
    digest = hashlib.sha256(exported.read_bytes()).hexdigest()
    assert f'its digest is {digest}' in refusal(exported, sha256='0' * 64)


def test_the_file_of_the_digest_is_loaded(network):
    digest = hashlib.sha256(network.read_bytes()).hexdigest()
    assert Model.open(source(network, sha256=digest)).digest == digest


def test_what_is_loaded_are_the_bytes_that_were_checked(network, tmp_path):
    path = tmp_path / 'model'
    path.write_bytes(network.read_bytes())
    file = ModelFile.read(str(path), '')
    path.write_bytes(b'another network')
    assert file.load(torch, 'cpu')(example()).shape == (1, WIDTH)


@pytest.mark.usefixtures('untouched')
@pytest.mark.parametrize('form', ['module', 'weights', 'before zip', 'pickle'])
def test_pickles_are_refused_unseen_with_how_to_export(tmp_path, form):
    path, mark = tmp_path / 'model.pt', tmp_path / 'mark'
    if form == 'pickle':
        path.write_bytes(pickle.dumps(Evil(mark)))
    else:
        thing = Net().state_dict() if form == 'weights' else Evil(mark)
        torch.save(thing, path, _use_new_zipfile_serialization=form != 'before zip')
    said = refusal(path)
    assert 'is a pickle of torch.save' in said
    assert 'torch.jit.save(' in said
    assert 'torch.export.save(' in said
    assert not mark.exists()


@pytest.mark.usefixtures('untouched')
@pytest.mark.parametrize(
    'data', [b'', b'\x89PNG\r\n', b'PK\x03\x04 and no more', bytes(range(256)) * 40]
)
def test_files_of_other_kinds_are_refused_unseen(tmp_path, data):
    path = tmp_path / 'model.pt'
    path.write_bytes(data)
    assert 'is neither TorchScript nor an archive of torch.export' in refusal(path)


@pytest.mark.usefixtures('untouched')
def test_a_file_that_can_not_be_read_is_refused(tmp_path):
    assert 'can not be read: No such file' in refusal(tmp_path / 'none.pt')
    assert 'can not be read: Is a directory' in refusal(tmp_path)


@pytest.mark.usefixtures('untouched')
@pytest.mark.parametrize(
    'name',
    [
        'data/constants/opaque_obj_0',
        'data/constants/opaque_obj_0\n',
        'data/constants/OPAQUE_OBJ_0',  # torch finds it by the other name as well
        'data/constants/custom_obj_0',
        'data/constants/tensor_0\n',
        'DATA/aotinductor/model/model.so',
        'data/aotinductor/model/model.so',
        'data/executorch/model.pte',
        'data/mtia/model',
        'models/other.json',
    ],
)
def test_all_records_but_those_of_a_network_of_tensors_are_refused_unseen(
    exported, tmp_path, name
):
    path = with_record(tmp_path / 'model.pt2', exported, name, pickle.dumps(Evil(tmp_path / 'a')))
    said = refusal(path)
    assert 'holds objects or code beside the network' in said
    assert repr(f'model/{name}') in said


@pytest.mark.usefixtures('untouched')
@pytest.mark.parametrize('name', ['opaque_obj_0', 'custom_obj_0', 'tensor_0\n', '../x', None])
@pytest.mark.parametrize('kind', ['constants', 'weights'])
def test_tables_that_name_anything_but_tensors_are_refused_unseen(exported, tmp_path, kind, name):
    table = f'data/{kind}/model_{kind}_config.json'
    data = json.dumps({'config': {'c': {'path_name': name, 'use_pickle': True}}})
    path = with_record(tmp_path / 'model.pt2', exported, table, data)
    said = refusal(path)
    assert 'holds objects or code beside the network' in said
    assert name is None or repr(name) in said


@pytest.mark.usefixtures('untouched')
@pytest.mark.parametrize('data', ['{', '[]', '{"config": 3}', '{"config": {"c": {}}}', b'\xff'])
def test_tables_that_are_none_are_refused_unseen(exported, tmp_path, data):
    table = 'data/constants/model_constants_config.json'
    path = with_record(tmp_path / 'model.pt2', exported, table, data)
    assert f'is damaged: model/{table} is no table of tensors' in refusal(path)


@pytest.mark.usefixtures('untouched')
def test_an_archive_with_two_records_of_one_name_is_refused_unseen(exported, tmp_path):
    path = tmp_path / 'model.pt2'
    path.write_bytes(exported.read_bytes())
    with zipfile.ZipFile(path, 'a') as archive, warnings.catch_warnings():
        warnings.simplefilter('ignore')  # zipfile wonders as well
        archive.writestr('model/models/model.json', b'another')
    assert 'is damaged: it holds two records of one name' in refusal(path)


def test_torch_gets_nothing_but_the_records_that_were_checked(exported, tmp_path):
    """Readers of archives differ in what they make of bytes around one."""
    path = tmp_path / 'model.pt2'
    path.write_bytes(b'PK\x05\x06 and more' + exported.read_bytes())
    file = ModelFile.read(str(path), '')
    assert b'and more' not in file.data
    with zipfile.ZipFile(exported) as old, zipfile.ZipFile(io.BytesIO(file.data)) as new:
        assert {n: new.read(n) for n in new.namelist()} == {n: old.read(n) for n in old.namelist()}
    assert file.load(torch, 'cpu')(example()).shape == (1, WIDTH)


def test_networks_with_constants_and_notes_of_their_own_are_loaded(tmp_path):
    class Shifted(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer('kept', torch.ones(3))
            self.register_buffer('fixed', torch.ones(3), persistent=False)

        def forward(self, x):
            return x.mean((2, 3)) + self.kept + self.fixed + torch.tensor([1.0, 2.0, 3.0])

    path = tmp_path / 'model.pt2'
    program = torch.export.export(Shifted().eval(), (example(),))
    torch.export.save(program, path, extra_files={'Notes on it.txt': 'made by hand'})
    model = ModelFile.read(str(path), '').load(torch, 'cpu')
    assert model(example())[0].tolist() == [3, 4, 5]


def test_archives_of_the_format_before_hold_nothing_else_either(tmp_path):
    """They have no folder: what torch up to 2.7 wrote."""
    path = tmp_path / 'model.pt2'
    names = ['version', 'serialized_exported_program.json', 'extra_files/notes.txt']
    names += [f'serialized_{what}.pt' for what in ('state_dict', 'constants', 'example_inputs')]
    with zipfile.ZipFile(path, 'w') as archive:
        for name in names:
            archive.writestr(name, b'')
    file = ModelFile.read(str(path), '')
    assert file.exported
    with zipfile.ZipFile(io.BytesIO(file.data)) as archive:
        assert archive.namelist() == names
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('archive_format', b'pt2')  # or torch would read it as the newer one
    with pytest.raises(ValueError, match=r"holds objects or code .* \('archive_format'\)"):
        ModelFile.read(str(path), '')


def test_torch_itself_would_run_the_pickle_of_the_sample_inputs(exported, tmp_path):
    """So the next test tests something."""
    mark = tmp_path / 'mark'
    data = pickled(Evil(mark))
    path = with_record(tmp_path / 'model.pt2', exported, 'data/sample_inputs/model.pt', data)
    with pytest.raises(AssertionError, match='expected tuple or dict'):
        torch.export.load(path)
    assert mark.exists()


@pytest.mark.parametrize('forced', [None, '0'])
def test_pickles_in_an_archive_that_are_not_tensors_are_not_run(
    exported, tmp_path, forced, monkeypatch
):
    if forced is not None:
        monkeypatch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', forced)
    mark = tmp_path / 'mark'
    data = pickled(Evil(mark))
    path = with_record(tmp_path / 'model.pt2', exported, 'data/sample_inputs/model.pt', data)
    assert 'can not be loaded by torch' in refusal(path)
    assert not mark.exists()
    assert os.environ.get('TORCH_FORCE_WEIGHTS_ONLY_LOAD') == forced


@pytest.mark.parametrize('keep', [0.3, 0.95])
def test_a_truncated_file_is_refused(network, tmp_path, keep):
    path = tmp_path / 'model.pt'
    data = network.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    assert 'camera.encoder.path' in refusal(path)


def test_a_damaged_file_is_refused(network, tmp_path):
    with zipfile.ZipFile(network) as archive:
        name = next(n for n in archive.namelist() if n.endswith(('constants.pkl', 'model.json')))
    path = with_record(tmp_path / 'model.pt', network, name.partition('/')[2], b'damaged')
    assert 'can not be loaded by torch' in refusal(path)


def test_failures_of_a_real_network_get_a_reason(tmp_path):
    class Picky(torch.nn.Module):
        def forward(self, x):
            if bool(x.max() > 1e6):
                raise ValueError('too bright')
            return x.mean((2, 3))

    path = save(tmp_path / 'model.pt', Picky(), 'script')
    about = source(path, width=3, mean=(0.0,) * 3, std=(1e-9,) * 3)
    with pytest.raises(ConfigError, match='too bright'):
        Model.open(about)
    about = source(path, width=3)
    inline, results = InlineEncoder(about, Model.open(about)), []
    data = np.full(SIZE, 1e8, np.float32).reshape(-1).view(np.uint8)
    inline.submit(ImageView(data, *SIZE, SIZE[1] * 4, '32FC1', False), results.append)
    assert results == [Reason.ENCODER_FAILED]
    assert inline.status().state == 'failing'
    assert 'too bright' in inline.status().sentence
