// Barriers and warp operations of the emulated block.
#include "kernels/error.h"
#include "kernels/machine/emulated/block.h"

namespace fp::emulated {
namespace {

// ThreadSanitizer intercepts memcpy and memset even in untraced functions, but not these loops.
FP_UNTRACED void copy_bytes(void* to, const void* from, size_t bytes) {
    auto* t = static_cast<volatile char*>(to);
    auto* f = static_cast<const volatile char*>(from);
    for (size_t i = 0; i < bytes; ++i) t[i] = f[i];
}

}  // namespace

FP_UNTRACED void Block::release(Barrier& b, int id) {
    b.arrived = 0;
    ++b.passed;
    for (int i = 0; i < threads_; ++i)
        if (thread_[i].state == State::barrier && thread_[i].barrier_id == id) make_ready(i);
}

FP_UNTRACED void Block::barrier(int id, int threads, const Place& at) {
    if (id < 0 || id > 15 || threads % 32 || (id == 0) != (threads == 0))
        stop(text("barrier ", id, " of ", threads, " threads: 1 to 15, of whole warps, ", text_of(at)));
    Barrier& b = barriers_[id];
    Thread& me = thread_[current_];
    char* order = &b.order[b.passed & 1];
    published(order);
    if (id == 0) threads = threads_;
    if (b.arrived == 0) {
        b.at = at;
        b.expected = threads;
    } else if (b.at.line() != at.line() && id == 0) {
        stop(text("divergent barrier: thread ", current_, " waits at ", text_of(at), ", others at ", text_of(b.at)));
    } else if (b.expected != threads) {
        stop(text("barrier ", id, ": thread ", current_, " expects ", threads, " threads, others ", b.expected, ", ",
                  text_of(at)));
    }
    ++counted.barriers;
    me.state = State::barrier;
    me.barrier_id = id;
    me.at = at;
    if (++b.arrived == b.expected) release(b, id);
    give_way();
    observed(order);
}

FP_UNTRACED Block::Meeting& Block::meet(unsigned mask, int operation, const void* mine, int bytes, const Place& at) {
    const int warp = current_ / 32, own = lane();
    if (threads_ - warp * 32 < 32) mask &= (1u << (threads_ - warp * 32)) - 1;
    if (!(mask >> own & 1)) stop(text("thread ", current_, " is not in its own mask, ", text_of(at)));

    Meeting* m = meetings_[warp];
    for (; m; m = m->next) {
        if (m->arrived == m->mask) continue;  // complete; its lanes are still reading
        if (m->mask == mask && !(m->arrived >> own & 1)) break;
        if (m->mask & mask)
            stop(text("warp operations with overlapping masks: ", text_of(at), " and ", text_of(m->at)));
    }
    if (m) {
        if (m->operation != operation || m->at.line() != at.line())
            stop(text("different warp operations meet: thread ", current_, " is at ", text_of(at), ", others at ",
                      text_of(m->at)));
    } else {
        m = spare_ ? spare_ : new Meeting;
        if (m == spare_) spare_ = m->next;
        m->mask = mask;
        m->arrived = m->left = 0;
        m->operation = operation;
        m->at = at;
        m->next = meetings_[warp];
        meetings_[warp] = m;
        ++counted.warp_operations;
    }
    copy_bytes(m->brought[own], mine, bytes);
    published(m);
    m->arrived |= 1u << own;
    Thread& me = thread_[current_];
    if (m->arrived == mask) {
        for (int i = 0; i < 32; ++i)
            if ((mask >> i & 1) && i != own) make_ready(warp * 32 + i);
    } else {
        me.state = State::meeting;
        me.at = at;
        me.mask = mask;
        give_way();
    }
    observed(m);
    return *m;
}

FP_UNTRACED void Block::leave(Meeting& m) {
    m.left |= 1u << lane();
    if (m.left != m.mask) return;
    Meeting** link = &meetings_[current_ / 32];
    while (*link != &m) link = &(*link)->next;
    *link = m.next;
    m.next = spare_;
    spare_ = &m;
}

}  // namespace fp::emulated
