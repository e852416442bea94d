"""A device that no machine lacks, as strict about its tensors as CUDA: torch's `meta`, with a CPU that computes behind it.

Whoever gives one operation tensors of both devices fails (a single number may be the CPU's), and so do a draw there by the CPU's
generator, and numpy's look at a tensor there. What is computed is what a CPU computes, so that a training that moves everything
where it belongs ends with the same weights. CUDA's own kernels, its autocast and its queue aren't in it.
"""
from collections import Counter
from contextlib import nullcontext

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_map_only

THERE, HERE = torch.device("meta"), torch.device("cpu")
CARRIERS = torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default  # what may go from one device to the other


class Elsewhere(TorchDispatchMode):
    """Inside `with Elsewhere():`, tensors of THERE have values.

    Attributes:
        autocasts: how often autocast was asked for, by device type, while `patched`.
    """

    def __init__(self):
        super().__init__()
        self._memory: dict[int, tuple[StorageWeakRef, torch.UntypedStorage]] = {}  # by THERE's storages: the CPU's behind them
        self.autocasts: Counter[str] = Counter()

    def patched(self, monkeypatch) -> "Elsewhere":
        """torch's autocast refuses THERE: it is noted and does nothing. `torch.tensor` would make an empty one: it is copied."""
        tensor = torch.tensor
        monkeypatch.setattr(torch, "autocast", lambda device, *_, **__: self.autocasts.update([device]) or nullcontext())
        monkeypatch.setattr(torch, "tensor", lambda *data, device=None, **how: tensor(*data, **how).to(device or HERE))
        return self

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
            with self:  # what is made of others comes whole in inference mode
                return func.decompose(*args, **kwargs)
        leaves = tree_flatten((args, kwargs))[0]
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        there, asked = [t for t in tensors if t.device == THERE], kwargs.get("device")
        if not there and asked != THERE:
            return func(*args, **kwargs)
        if func not in CARRIERS and there and any(t.device == HERE and t.dim() for t in tensors):
            raise RuntimeError(f"{func} got tensors of two devices.")
        if any(isinstance(leaf, torch.Generator) for leaf in leaves):  # all are the CPU's
            raise RuntimeError(f"{func} draws elsewhere with a generator of the CPU's.")
        if torch.Tag.inplace_view in func.tags:  # another look at the same memory
            return func(*args, **kwargs)
        behind = {id(t): self._real(t) for t in there}
        made = func(*tree_map(lambda leaf: _here(behind, leaf), args), **tree_map(lambda leaf: _here(behind, leaf), kwargs))
        outputs = [leaf for leaf in tree_flatten(made)[0] if isinstance(leaf, torch.Tensor)]
        if any(_shares(t, r) and t is not r for t in outputs for r in behind.values()):
            return func(*args, **kwargs)  # a view, which is one of the memory there
        known = {id(behind[id(t)]): t for t in there} | {id(t): t for t in tensors}  # what it was given, and changed in place
        make = self._fresh if asked in (None, THERE) else lambda tensor: tensor
        return tree_map_only(torch.Tensor, lambda t: known[id(t)] if id(t) in known else make(t), made)

    def _real(self, tensor: torch.Tensor) -> torch.Tensor:
        """The CPU's tensor behind one that is there, in the same memory at every call."""
        storage = self._memory[tensor.untyped_storage()._cdata][1]
        return torch.empty(0, dtype=tensor.dtype).set_(storage, tensor.storage_offset(), tensor.size(), tensor.stride())

    def _fresh(self, real: torch.Tensor) -> torch.Tensor:
        """A tensor there, of a new one here."""
        if real.storage_offset() or real.untyped_storage().nbytes() > real.numel() * real.element_size():
            real = real.clone()
        tensor = torch.empty_strided(real.size(), real.stride(), dtype=real.dtype, device=THERE)
        self._memory = {key: kept for key, kept in self._memory.items() if not kept[0].expired()}
        storage = tensor.untyped_storage()
        self._memory[storage._cdata] = StorageWeakRef(storage), real.untyped_storage()
        return tensor


def _here(behind: dict[int, torch.Tensor], leaf):
    """An argument as the CPU wants it."""
    if isinstance(leaf, torch.Tensor):
        return behind.get(id(leaf), leaf)
    return HERE if isinstance(leaf, torch.device) else leaf


def _shares(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.untyped_storage()._cdata == other.untyped_storage()._cdata
