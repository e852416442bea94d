"""Ways to spread work over processes: a pool on this machine, or a Ray cluster. Both yield results as they come."""
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from atl_face.errors import UserError
from atl_training.workers import begin_worker

ENGINES = ("local", "ray")
# One thread a process: llvmpipe rasters in the caller's thread, and no pool of idle threads spins.
THREADS = {"LP_NUM_THREADS": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def run_jobs(engine: str, work: Callable, jobs: list, workers: int) -> Iterator:
    """Yield work(job) for every job, in the order in which they end.

    Args:
        work: picklable; what it caches in its process is kept from job to job.
        workers: processes of the local pool; Ray has as many as its cluster has cores.

    Raises:
        UserError: a worker was killed, or there is no Ray.
    """
    return _ray(work, jobs) if engine == "ray" else _local(work, jobs, workers)


def _local(work: Callable, jobs: list, workers: int) -> Iterator:
    os.environ |= THREADS
    fresh = multiprocessing.get_context("spawn")  # a fork would inherit numpy's threads
    pool = ProcessPoolExecutor(workers, mp_context=fresh, initializer=begin_worker)
    try:
        running = [pool.submit(work, job) for job in jobs]
        for done in as_completed(running):
            yield done.result()
    except BrokenProcessPool as error:
        raise UserError("A worker process was killed (out of memory?): give fewer --workers and run the same command again; "
                        "what is finished stays.") from error  # fmt: skip
    finally:  # once, and so without `with`: its second shutdown would take the cancelling back
        pool.shutdown(wait=True, cancel_futures=True)  # don't work on for hours before saying what is wrong


def _ray(work: Callable, jobs: list) -> Iterator:
    try:
        import ray
    except ImportError as error:
        raise UserError("--engine ray needs Ray: `pip install ray`, or leave the option out.") from error
    try:
        if not ray.is_initialized():  # $RAY_ADDRESS names a cluster; without it, one is started here
            ray.init(log_to_driver=False, configure_logging=False)
    except (ConnectionError, ray.exceptions.RayError) as error:
        raise UserError(f"The Ray cluster {os.environ.get('RAY_ADDRESS', '')} can't be reached ({error}).") from error
    carried = THREADS | {name: os.environ[name] for name in ("PYTHONPATH", "MAKEHUMAN_DATA") if name in os.environ}

    def call(job):  # Ray wants a plain function, and `work` may be a partial one
        return work(job)

    remote = ray.remote(num_cpus=1, max_retries=2, runtime_env={"env_vars": carried})(call)
    waiting = [remote.remote(job) for job in jobs]
    while waiting:
        done, waiting = ray.wait(waiting)
        try:
            yield ray.get(done[0])
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error  # the worker's own error, a UserError among them
        except ray.exceptions.RayError as error:
            raise UserError(f"A Ray worker was lost ({type(error).__name__}): run the same command again; what is finished "
                            "stays.") from error  # fmt: skip
