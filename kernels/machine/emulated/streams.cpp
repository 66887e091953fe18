#include "kernels/machine/emulated/streams.h"

#include <chrono>
#include <cstdlib>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "kernels/error.h"

namespace fp::emulated {
namespace {

using Clock = std::chrono::steady_clock;
using Call = std::function<void()>;

struct Queue {
    std::deque<Call> calls;  // queued and not yet executed
    int64_t done = 0;
    int64_t given() const { return done + int64_t(calls.size()); }
};
using QueuePointer = std::shared_ptr<Queue>;

// An event: the position of a call in a stream's queue, counted from its creation.
struct EventState {
    QueuePointer queue;
    int64_t place = 0;
    Clock::time_point at;
};
using EventPointer = std::shared_ptr<EventState>;

struct Capture {
    const Queue* queue;
    std::vector<Call> calls;
    std::vector<void*> released;  // during the capture, which is an error
};
using GraphPointer = std::shared_ptr<const std::vector<Call>>;

thread_local std::unique_ptr<Capture> capture;  // the capture of this thread, if any

struct Streams {
    std::recursive_mutex mutex;  // guards the rest; held while deferred calls run
    std::atomic<int64_t> waiting{0};
    std::vector<std::weak_ptr<Queue>> queues;
    std::map<const char*, size_t> pinned;  // size by address
    std::exception_ptr fault;              // an error that finish_quietly could not throw
};
Streams& all() {  // never destroyed: memory may be released after main()
    static Streams& streams = *new Streams;
    return streams;
}

QueuePointer new_queue() {
    const std::lock_guard lock(all().mutex);
    auto queue = std::make_shared<Queue>();
    all().queues.push_back(queue);
    return queue;
}
QueuePointer queue_of(Stream s) {
    static const QueuePointer own = new_queue();
    return s.handle ? *static_cast<QueuePointer*>(s.handle) : own;
}

void drop_all() {
    for (const auto& weak : all().queues)
        if (const QueuePointer q = weak.lock()) {
            all().waiting -= int64_t(q->calls.size());
            q->done = q->given();
            q->calls.clear();
        }
}

void run(Queue& queue, int64_t place) {
    const std::lock_guard lock(all().mutex);
    while (queue.done < place) {
        const Call call = std::move(queue.calls.front());
        try {
            call();
        } catch (...) {
            drop_all();
            throw;
        }
        queue.calls.pop_front();
        ++queue.done;
        --all().waiting;
    }
}

EventPointer& state(Event e) { return *static_cast<EventPointer*>(e.handle); }

void record(Event e, Stream s) {
    refuse_while_capturing("an event was recorded");
    const std::lock_guard lock(all().mutex);
    EventPointer event = state(e);
    event->queue = queue_of(s);
    event->place = event->queue->given() + 1;
    defer(s, [event] { event->at = Clock::now(); });
}

void follow(Stream s, Event e) {
    refuse_while_capturing("a stream was told to wait");
    const std::lock_guard lock(all().mutex);
    const EventState event = *state(e);
    if (!event.queue || event.queue->done >= event.place) return;
    defer(s, [event] { run(*event.queue, event.place); });
}

void wait(Event e) {
    refuse_while_capturing("the host waited");
    const std::lock_guard lock(all().mutex);
    const EventState event = *state(e);
    if (event.queue) run(*event.queue, event.place);
}

double seconds(Event from, Event until) {
    return std::chrono::duration<double>(state(until)->at - state(from)->at).count();
}

void begin(Stream s) {
    refuse_while_capturing("a second capture was begun");
    capture = std::make_unique<Capture>(Capture{queue_of(s).get(), {}, {}});
}

void* end(Stream s) {
    FP_CHECK(capture && capture->queue == queue_of(s).get(), "emulated: this thread captures no graph on this stream");
    const std::unique_ptr<Capture> captured = std::move(capture);
    for (void* block : captured->released) std::free(block);
    FP_CHECK(captured->released.empty(), "emulated: memory was released during a capture");
    return new GraphPointer(std::make_shared<std::vector<Call>>(std::move(captured->calls)));
}
void abandon(Stream) {
    const std::unique_ptr<Capture> captured = std::move(capture);
    if (!captured) return;
    for (void* block : captured->released) std::free(block);
}

void launch(void* g, Stream s) {
    give(s, [calls = *static_cast<GraphPointer*>(g)] {
        for (const Call& call : *calls) call();
    });
}

}  // namespace

bool capturing() { return capture != nullptr; }

bool is_immediate() { return !settings().deferred && all().waiting == 0 && !capturing(); }

void defer(Stream s, Call call) {
    const QueuePointer queue = queue_of(s);
    if (capture && capture->queue == queue.get()) {
        capture->calls.push_back(std::move(call));
        return;
    }
    const std::lock_guard lock(all().mutex);
    queue->calls.push_back(std::move(call));
    ++all().waiting;
    if (!settings().deferred) run(*queue, queue->given());
}

void finish(Stream s) {
    const std::lock_guard lock(all().mutex);
    if (const std::exception_ptr fault = std::exchange(all().fault, nullptr)) std::rethrow_exception(fault);
    const QueuePointer queue = queue_of(s);
    run(*queue, queue->given());
}

void finish_all() {
    const std::lock_guard lock(all().mutex);
    auto& queues = all().queues;
    std::erase_if(queues, [](const auto& weak) { return weak.expired(); });
    for (size_t i = 0; i < queues.size(); ++i)
        if (const QueuePointer q = queues[i].lock()) run(*q, q->given());
}

void finish_quietly() {
    try {
        finish_all();
    } catch (const Error&) {
        const std::lock_guard lock(all().mutex);
        all().fault = std::current_exception();
    }
}

void refuse_while_capturing(const char* what) { FP_CHECK(!capturing(), "emulated: ", what, " during a capture"); }

void release_while_capturing(void* block) { capture->released.push_back(block); }

void* alloc_pinned(size_t bytes) {
    constexpr size_t kAlignment = 256;
    void* block = std::aligned_alloc(kAlignment, (bytes / kAlignment + 1) * kAlignment);
    if (!block) throw std::bad_alloc();
    const std::lock_guard lock(all().mutex);
    all().pinned[static_cast<const char*>(block)] = bytes;
    return block;
}
void release_pinned(void* block) {
    const std::lock_guard lock(all().mutex);
    all().pinned.erase(static_cast<const char*>(block));
    std::free(block);
}
bool is_pinned(const void* at) {
    const std::lock_guard lock(all().mutex);
    const char* const byte = static_cast<const char*>(at);
    const auto next = all().pinned.upper_bound(byte);
    if (next == all().pinned.begin()) return false;
    const auto& [begin, bytes] = *std::prev(next);
    return byte < begin + bytes;
}

extern const StreamApi streams{
    .open = [] { return Stream{new QueuePointer(new_queue())}; },
    .close =
        [](Stream s) {
            const std::unique_ptr<QueuePointer> closed(static_cast<QueuePointer*>(s.handle));
            finish(s);
        },
    .native = [](Stream) -> void* { return nullptr; },
    .event = [] { return Event{new EventPointer(std::make_shared<EventState>())}; },
    .drop = [](Event e) { delete static_cast<EventPointer*>(e.handle); },
    .record = record,
    .follow = follow,
    .wait = wait,
    .seconds = seconds,
};

extern const Graph graph{
    .begin = begin,
    .end = end,
    .abandon = abandon,
    .launch = launch,
    .release = [](void* g) { delete static_cast<GraphPointer*>(g); },
};

}  // namespace fp::emulated
