"""DDP's gradients over a lane: for training scripts that have DDP already. A plain model and `average_gradients` do without its
buckets, its broadcasts and its state that has to be reset.

DDP puts gradients into buckets by an order that it learns in its first step. A newcomer has not learned it, and may have a bucket
of the same size in another order: the sum of both would be wrong, silently. So the order travels with the op, as a hash of names;
members that differ are refused, and the error has both orders.

All buckets of a step are one op, posted with the last: as many ops in each member, whatever its buckets are, and one commit.
"""

# No annotations from __future__: DDP compares those of the hook with its types.

from torch import Tensor
from torch._C._distributed_c10d import GradBucket
from torch.futures import Future

from seaway.torch import _tags
from seaway.torch._errors import SeawayError
from seaway.torch._lane import Lane, digest


def comm_hook(state: Lane, bucket: GradBucket) -> Future[Tensor]:
    """A communication hook of DDP: the mean over all replicas. Errors go to the lane; end the step with `seaway.torch.step`.

        ddp = DistributedDataParallel(model, process_group=alone, broadcast_buffers=False)
        lane.name_parameters(model)
        ddp.register_comm_hook(lane, seaway.torch.comm_hook)

    DDP's own group has this process alone (`dist.new_group([rank], use_local_synchronization=True)`), so that it posts nothing by
    itself. A newcomer among members that have learned their order is refused until it has made a step of its own: before it
    joins, let it run one forward and backward, and step nothing; or use `find_unused_parameters=True`, with which DDP keeps its
    first order.

    Args:
        state: the lane.
        bucket: what DDP gives.

    Returns:
        A future of the bucket's averaged gradients, or of its own where the op failed.
    """
    buffer = bucket.buffer()
    names: list[str] = []
    try:
        names = [f"{state.name_of(parameter)}[{parameter.numel()}]" for parameter in bucket.parameters()]
    except SeawayError as error:
        # Only what this rank posts fails then; the others are told the same.
        state._record(error)
        names = [f"(no name)[{parameter.numel()}]" for parameter in bucket.parameters()]
    base: Future[Tensor] = Future()
    state._buckets.append((buffer, ", ".join(names), base))
    if bucket.is_last():
        buckets, state._buckets = state._buckets, []
        orders = [order for _, order, _ in buckets]
        gradients = [each for each, _, _ in buckets]
        names = [f"({order})" for order in orders]
        work = state._reduce(gradients, "avg", 1.0, _tags.HOOK, digest(*orders), None, "record", names)

        def over(done: Future[list[Tensor]]) -> None:
            for averaged, _, future in buckets:
                future.set_result(averaged)

        work.get_future().then(over)
    return base
