"""Chunks to messages and back."""


from atl_audio_node.sound_stream import Chunk, StreamEnd
from atl_face.pcm import to_int16
from atl_face.stream import SAMPLE_RATE
from atl_msgs.msg import AudioChunk
from atl_node.arrays import to_array
from atl_node.stamps import to_time


def chunk_message(chunk: Chunk) -> AudioChunk:
    """20 ms of the stream as a message."""
    message = AudioChunk(stream_id=chunk.stream_id, first_sample=chunk.first_sample, sample_rate=SAMPLE_RATE)
    message.header.stamp = to_time(chunk.media_time_ns)
    message.samples = to_array(to_int16(chunk.samples))
    return message


def end_message(end: StreamEnd) -> AudioChunk:
    """The word that a stream is complete, for `audio_end`."""
    message = AudioChunk(stream_id=end.stream_id, first_sample=end.samples, sample_rate=SAMPLE_RATE)
    message.header.stamp = to_time(end.media_time_ns)
    return message
