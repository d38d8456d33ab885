"""The six kinds of work an audit is made of, each a `Chunk`."""

from attribution_suite.auditing.chunks.chunk import Chunk, finished, load
from attribution_suite.auditing.chunks.examine_originals import ExamineOriginals
from attribution_suite.auditing.chunks.look_inside import LookInside
from attribution_suite.auditing.chunks.measure_explanations import MeasureExplanations
from attribution_suite.auditing.chunks.remove_features import RemoveFeatures
from attribution_suite.auditing.chunks.train_originals import TrainOriginals
from attribution_suite.auditing.chunks.tune_sham import TuneSham

__all__ = ["Chunk", "ExamineOriginals", "LookInside", "MeasureExplanations", "RemoveFeatures", "TrainOriginals",
           "TuneSham", "finished", "load"]
