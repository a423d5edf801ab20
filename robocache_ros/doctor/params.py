# Copyright 2026 the robocache_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A parameters file as the node would read it, and what is wrong with it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from robocache_ros.config import Config, ConfigError, ImageSource
from robocache_ros.config.params_file import read_params_file
from robocache_ros.doctor.finding import Finding, Level, error, fine, told, warning

ABOUT = 'parameters'


@dataclass(frozen=True)
class Params:
    """What a file gives a node, and the findings about it."""

    node: str
    flat: Mapping[str, Any] = field(default_factory=dict)
    config: Config | None = None  # None: there is no file, or it is refused
    findings: tuple[Finding, ...] = ()

    @property
    def encoder_devices(self) -> list[str]:
        """The devices that encoders are to run on."""
        sources = self.config.sources if self.config else ()
        images = (source for source in sources if isinstance(source, ImageSource))
        return [source.encoder.device for source in images if source.encoder.path]


def read_params(path: str, node: str) -> Params:
    """Read the parameters of a node; whatever is wrong becomes a finding."""
    heard = _Heard()
    log = logging.getLogger('robocache_ros')
    log.addHandler(heard)
    try:
        flat = read_params_file(path, node)
        config = Config.from_mapping(flat)
    except ConfigError as refused:
        return Params(node, findings=tuple(_refusals(refused.problems)))
    finally:
        log.removeHandler(heard)
    notices = [
        told(Level.WARNING, ABOUT, text) for text in (*heard.sentences, *config.notices(flat))
    ]
    names = ', '.join(source.name for source in config.sources)
    notices = notices or [fine(ABOUT, f'{path} is accepted for {node}: {names}.')]
    return Params(node, flat, config, tuple(notices))


def judge_pipeline(facts: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge whether the files that the parameters name can be used, see config_facts."""
    yield from _refusals(facts.get('refused', ()))
    if facts.get('hung'):
        yield warning(
            ABOUT,
            f'The files that the parameters name: {facts["failed"]}.',
            'Look at the files of encoders and calibrations, and at where they are kept.',
        )
    elif 'failed' in facts:
        fix = 'This is a bug in robocache_ros; please report it.'
        yield error(ABOUT, f'The pipeline can not be made: {facts["failed"]}.', fix)


def _refusals(problems: Any) -> Iterator[Finding]:
    for problem in problems:
        sentence = f'Refused: {problem}.'.replace('..', '.')
        yield error(ABOUT, sentence, 'Change it; docs/parameters.md has what is allowed.')


class _Heard(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.sentences: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.sentences.append(record.getMessage())
