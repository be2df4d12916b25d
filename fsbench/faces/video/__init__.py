"""Videos as frames with time stamps, and back, by PyAV: streaming, so that memory does not grow with the length."""

from fsbench.faces.video.reader import Colour, Frame, FrameReader, Video, VideoInfo
from fsbench.faces.video.writer import SUFFIXES, VideoWriter

__all__ = ["SUFFIXES", "Colour", "Frame", "FrameReader", "Video", "VideoInfo", "VideoWriter"]
