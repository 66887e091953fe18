// Clusters of the emulated machine, and kernels that begin before those in front are complete.
#include "kernels/error.h"
#include "kernels/machine/emulated/block.h"

namespace fp::emulated {

FP_UNTRACED void Block::wait_cluster(const Place& at) {
    char* const order = &cluster_[0]->cluster_order_;
    published(order);
    Thread& me = thread_[current_];
    me.state = State::cluster;
    me.at = at;
    give_way();
    observed(order);
    observed(&started_);  // other blocks have run in between
}

FP_UNTRACED void Block::leave_cluster(const Place& at) {
    thread_[current_].leaves = true;
    wait_cluster(at);
}

FP_UNTRACED bool Block::all_wait_at_cluster() const {
    if (stopped_ || live_ == 0) return false;
    for (int i = 0; i < threads_; ++i)
        if (thread_[i].state != State::cluster && thread_[i].state != State::done) return false;
    return true;
}

FP_UNTRACED const void* Block::shared_of(int rank, const void* own, const Place& at) {
    if (thread_[current_].leaves) stop(text("a read of block ", rank, " behind cluster_exit(), ", text_of(at)));
    const auto offset = static_cast<const char*>(own) - dynamic_;
    if (rank < 0 || rank >= int(cluster_.size()))
        stop(text("block ", rank, " of a cluster of ", cluster_.size(), ", ", text_of(at)));
    if (offset < 0 || size_t(offset) >= dynamic_bytes_)
        stop(text("an address outside of dynamic shared memory, ", text_of(at)));
    const Block& other = *cluster_[size_t(rank)];
    if (other.live_ == 0) stop(text("block ", rank, " of the cluster, which is read, has left, ", text_of(at)));
    return other.dynamic_ + offset;
}

FP_UNTRACED void Block::wait_for_kernels() { thread_[current_].waited = any_waited_ = true; }

void Block::refuse_global(const Place& at) {
    stop(text("global memory ",
              thread_[current_].leaves ? "behind cluster_exit(), " : "before wait_for_kernels_in_front(), ",
              text_of(at)));
}

}  // namespace fp::emulated
