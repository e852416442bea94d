"""Rates that every room agrees on. Frame k covers media time [k * 40 ms, (k + 1) * 40 ms) of its stream."""

SAMPLE_RATE = 16000  # Hz; what speech features are made for, and half of what most microphones give
FRAME_RATE = 25  # landmark and picture frames per second; GRID's rate, and PAL video's
FRAME_SAMPLES = SAMPLE_RATE // FRAME_RATE  # 640 samples of sound under one frame
CHUNK_SAMPLES = 320  # 20 ms, the length of an AudioChunk and of an Opus packet
FRAME_NS = 1_000_000_000 // FRAME_RATE
