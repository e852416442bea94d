"""The diffusion node: `landmarks` in, `image_raw` out; `set_portrait` changes the face between two frames."""

import sys
import time
import traceback
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.task import Future
from sensor_msgs.msg import CompressedImage, Image

from atl_diffusion_node.convert import (
    image_message,
    jpeg_message,
    points_of,
    portrait_message,
    reason_of,
)
from atl_diffusion_node.governor import Governor, efforts
from atl_diffusion_node.lateness import Lateness
from atl_diffusion_node.parameters import PARAMETERS
from atl_diffusion_node.portrait import default_portrait_path, load_portrait
from atl_diffusion_node.process import prepare_process
from atl_diffusion_node.renderer import FaceRenderer
from atl_diffusion_node.runtime import make_runtime
from atl_face.errors import UserError
from atl_face.stream import FRAME_NS, FRAME_RATE
from atl_msgs.msg import FaceLandmarks, Portrait
from atl_msgs.srv import SetPortrait
from atl_node.node import AtlNode, Level
from atl_node.qos import latched, reliable
from atl_node.run import run_node
from atl_node.stamps import to_ns

TIMES_KEPT = 1500  # frames (one minute) that the figures in the diagnostics are about
BELOW = ("less is drawn than configured, to keep the frame rate: end other work on this machine, "
         "lower steps or output_size, or take a GPU")  # fmt: skip


class DiffusionNode(AtlNode):
    """Hears `landmarks`; publishes `portrait`, `image_raw` and `image_raw/compressed`; offers `set_portrait`."""

    input = "landmarks"

    def __init__(self):
        super().__init__("diffusion", PARAMETERS, namespace="/robot_face")
        self._subscription = None
        self._worker, self._service = None, None
        self._portrait, self._image, self._jpeg = None, None, None

    def configure(self) -> None:
        prepare_process()
        runtime = make_runtime(self.value("device"), self.value("threads"), self.value("precision"))
        self._renderer = FaceRenderer(runtime, self.value("seed"), self.value("steps"))
        levels = efforts(self.value("steps"), runtime.concurrent)
        self._governor = Governor(levels if self.value("governor") else levels[:1], 1e-9 * FRAME_NS)
        identity = self._prepare(self.value("portrait") or default_portrait_path())
        self._renderer.adopt(identity)
        for effort in self._governor.levels:  # a network's first evaluation is slow, and under load it would come late
            self._renderer.render(identity.portrait.neutral, effort)
        self._renderer.reset()
        self._waiting = identity  # the newest portrait: drawn as soon as landmarks are meant for it
        self._stream_id, self._expected, self._lateness = None, 0, Lateness()
        self._frames, self._missed, self._late, self._other_face, self._problem = 0, 0, 0, 0, ""
        self._times_ms: deque[tuple[float, ...]] = deque(maxlen=TIMES_KEPT)
        self._worker = ThreadPoolExecutor(1, "portrait")
        self._portrait = self.advertise(Portrait, "portrait", latched())
        self._image = self.advertise(Image, "image_raw", reliable(10))
        self._jpeg = self.advertise(CompressedImage, "image_raw/compressed", reliable(10))
        self._service = self.create_service(
            SetPortrait, "set_portrait", self._set_portrait, callback_group=ReentrantCallbackGroup()
        )  # of its own: while it waits for the portrait, frames go on

    def activate(self) -> None:
        self._publish_portrait()
        depth = max(15, round(FRAME_RATE * self.value("max_delay_s")))  # a frame that may be late must find room to wait
        self._subscription = self.subscribe(FaceLandmarks, "landmarks", self._draw, reliable(depth))

    def deactivate(self) -> None:
        self.destroy_subscription(self._subscription)
        self._renderer.reset()

    def cleanup(self) -> None:
        if self._worker is not None:
            self._worker.shutdown(cancel_futures=True)
        if self._service is not None:
            self.destroy_service(self._service)
        for publisher in filter(None, (self._portrait, self._image, self._jpeg)):
            self.destroy_publisher(publisher)
        self._worker, self._service = None, None
        self._portrait, self._image, self._jpeg = None, None, None

    def diagnostics(self) -> tuple[Level, str, dict[str, object]]:
        times = np.array(self._times_ms or [(0.0,) * 5])
        figures = {"runtime": self._renderer.runtime.name, "frames": self._frames, "frames_missed": self._missed,
                   "frames_late": self._late, "portrait_id": self._waiting.portrait.id}  # fmt: skip
        figures |= self._governor.figures()
        for name, column in zip(("warp", "guide", "network", "paste", "frame"), times.T, strict=True):
            p50, p95, p99 = np.percentile(column, (50, 95, 99))
            figures |= {f"{name}_ms_p50": round(p50, 2), f"{name}_ms_p95": round(p95, 2), f"{name}_ms_p99": round(p99, 2),
                        f"{name}_ms_max": round(column.max(), 2)}  # fmt: skip
        if self._problem:
            return Level.ERROR, self._problem, figures
        if self._other_face:
            return Level.WARN, f"the last {self._other_face} landmark frames were meant for another portrait", figures
        if self._governor.is_below:
            return Level.WARN, BELOW, figures
        return Level.OK, "running", figures

    def _prepare(self, source):
        return self._renderer.prepare(load_portrait(source, self.value("output_size")))

    def _publish_portrait(self) -> None:
        self._portrait.publish(portrait_message(self._waiting.portrait, self.get_clock().now().to_msg()))

    async def _set_portrait(self, request, response):
        """Loads in a thread, so that the old face goes on; a refusal leaves it as it is."""
        if not self.is_active:
            response.reason, response.message = response.NOT_ACTIVE, "The diffusion node is not active; activate it first."
            return response
        source = bytes(request.data) or request.path
        work, done = self._worker.submit(self._prepare, source), Future(executor=self.executor)
        work.add_done_callback(lambda _: done.set_result(None))
        await done
        try:
            self._waiting = work.result()
        except UserError as error:
            response.reason, response.message = reason_of(error), str(error)
            return response
        except Exception as error:  # a bug of ours, or of a picture library: it costs this request, not the face
            self.get_logger().error("".join(traceback.format_exception(error)))
            response.reason, response.message = response.UNREADABLE, f"This picture can't be used: {error!r}."
            return response
        self._publish_portrait()
        response.ok, response.reason = True, response.OK
        response.message = f"The face is now portrait {self._waiting.portrait.id}."
        return response

    def _draw(self, message: FaceLandmarks) -> None:
        self.heard()
        if message.stream_id != self._stream_id:
            self._stream_id, self._expected = message.stream_id, message.frame_index
            self._lateness.restart()
        self._missed += max(0, message.frame_index - self._expected)
        self._expected = message.frame_index + 1
        delay_ns = self.get_clock().now().nanoseconds - to_ns(message.header.stamp)
        if self._lateness.is_late(delay_ns, 1e9 * self.value("max_delay_s")):
            self._late += 1
            return
        if message.portrait_id == self._waiting.portrait.id and self._renderer.portrait is not self._waiting.portrait:
            self._renderer.adopt(self._waiting)
        if message.portrait_id != self._renderer.portrait.id:
            self._other_face += 1
            return
        before = time.perf_counter()
        try:
            points, self._problem = points_of(message), ""
        except UserError as error:
            self._problem = str(error)
            return
        frame, self._other_face = self._renderer.render(points, self._governor.effort), 0
        if self._image.get_subscription_count():
            self._image.publish(image_message(frame, message.header))
        if self._jpeg.get_subscription_count():
            self._jpeg.publish(jpeg_message(frame, message.header, self.value("jpeg_quality")))
        times, frame_s = self._renderer.times, time.perf_counter() - before
        self._governor.saw(frame_s, 1e-3 * times.network)
        self._times_ms.append((times.warp, times.guide, times.network, times.paste, 1e3 * frame_s))
        self._frames += 1


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to stop; returns the exit code."""
    return run_node(DiffusionNode, args)


if __name__ == "__main__":
    sys.exit(main())
