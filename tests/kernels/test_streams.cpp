// Streams of the emulated device whose work is put off until something waits for it: what a program forgot to wait for,
// or used again too early, shows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "kernels/machine/emulated/machine.cuh"
#include "kernels/machine/emulated/streams.h"
#include "tests/expect_error.h"

namespace fp::emulated {
namespace {

class Streams : public ::testing::Test {
protected:
    Streams() { settings().deferred = true; }
    ~Streams() override {
        finish_all();
        settings() = before_;
        memory().release(a_);
        memory().release(b_);
        memory().release_host(host_);
    }
    static const Memory& memory() { return kernels(Backend::emulated).memory; }
    static const StreamApi& streams() { return kernels(Backend::emulated).streams; }
    static const Graph& graph() { return *kernels(Backend::emulated).graph; }

    Settings before_ = settings();
    int* const a_ = static_cast<int*>(memory().alloc(sizeof(int)));
    int* const b_ = static_cast<int*>(memory().alloc(sizeof(int)));
    int* const host_ = static_cast<int*>(memory().alloc_host(sizeof(int)));
};

__global__ void add(int* to, int n) {
    if (thread_index() == 0) *to += n;
}
constexpr Grid kOne{.threads = 32};

TEST_F(Streams, DoTheirWorkInOrderWhenItIsWaitedFor) {
    *a_ = 5;
    memory().zero(a_, sizeof(int), {});
    launch(add, kOne, {}, a_, 3);
    memory().copy(b_, a_, sizeof(int), {});
    EXPECT_EQ(*a_, 5);
    memory().synchronize({});
    EXPECT_EQ(*a_, 3);
    EXPECT_EQ(*b_, 3);
    launch(add, kOne, {}, a_, 3);
    int got = 0;
    memory().copy_out(&got, a_, sizeof got, {});
    EXPECT_EQ(got, 6);
}

TEST_F(Streams, ReadPinnedMemoryLateAndOtherMemoryAtTheCall) {
    int other = 1;
    *host_ = 1;
    memory().copy_in(a_, host_, sizeof(int), {});
    memory().copy_in(b_, &other, sizeof(int), {});
    *host_ = other = 2;
    memory().synchronize({});
    EXPECT_EQ(*a_, 2) << "a source that is used again too early shows";
    EXPECT_EQ(*b_, 1);
    *a_ = 7;
    memory().copy_out_later(host_, a_, sizeof(int), {});
    EXPECT_EQ(*host_, 2) << "a result that nobody waited for is not there";
    memory().synchronize({});
    EXPECT_EQ(*host_, 7);
    EXPECT_THROW(memory().copy_out_later(&other, a_, sizeof(int), {}), Error);
}

TEST_F(Streams, WaitForEachOtherAtMarksAlone) {
    const Stream other = streams().open();
    const Event mark = streams().event();
    streams().wait(mark);  // never set: no wait
    streams().follow({}, mark);
    *a_ = *b_ = 0;
    launch(add, kOne, other, a_, 1);
    streams().record(mark, other);
    launch(add, kOne, other, a_, 10);  // after the event

    memory().copy(b_, a_, sizeof(int), {});
    memory().synchronize({});
    EXPECT_EQ(*b_, 0) << "the wait that is missing shows";
    streams().follow({}, mark);
    memory().copy(b_, a_, sizeof(int), {});
    memory().synchronize({});
    EXPECT_EQ(*b_, 1) << "no further than the mark";

    streams().record(mark, {});
    EXPECT_EQ(*a_, 1);
    streams().wait(mark);
    EXPECT_EQ(*a_, 1) << "a mark of another stream does not move this one";
    const Event last = streams().event();
    streams().record(last, other);
    streams().wait(last);
    EXPECT_EQ(*a_, 11);
    EXPECT_GE(streams().seconds(mark, last), 0);
    streams().drop(last);
    streams().drop(mark);
    launch(add, kOne, other, a_, 100);
    streams().close(other);
    EXPECT_EQ(*a_, 111);
}

TEST_F(Streams, ReleasingMemoryWaitsForTheDevice) {
    const Stream other = streams().open();
    auto* block = static_cast<int*>(memory().alloc(sizeof(int)));
    *a_ = *block = 0;
    launch(add, kOne, other, block, 4);
    memory().copy(a_, block, sizeof(int), other);
    memory().release(block);
    EXPECT_EQ(*a_, 4);
    streams().close(other);
}

TEST_F(Streams, AFaultIsToldToWhoWaitsAndTheRestIsDropped) {
    *a_ = 0;
    launch(add, {.threads = 2000}, {}, a_, 1);
    launch(add, kOne, {}, a_, 1);
    testing::expect_error(
        Exit::bug, [] { memory().synchronize({}); }, "2000 threads");
    memory().synchronize({});
    EXPECT_EQ(*a_, 0);
    launch(add, kOne, {}, a_, 1);
    memory().synchronize({});
    EXPECT_EQ(*a_, 1);
}

TEST_F(Streams, GraphsAreWorkLikeOther) {
    *a_ = 0;
    graph().begin({});
    launch(add, kOne, {}, a_, 1);
    memory().copy_out_later(host_, a_, sizeof(int), {});
    void* const captured = graph().end({});
    memory().synchronize({});
    EXPECT_EQ(*a_, 0) << "captured, not executed";
    graph().launch(captured, {});
    graph().launch(captured, {});
    EXPECT_EQ(*a_, 0);
    graph().release(captured);  // before it has run
    memory().synchronize({});
    EXPECT_EQ(*a_, 2);
    EXPECT_EQ(*host_, 2);
}

TEST_F(Streams, OtherStreamsGoOnWhileOneIsNoted) {
    const Stream other = streams().open();
    *a_ = *b_ = 0;
    graph().begin({});
    launch(add, kOne, {}, a_, 1);
    launch(add, kOne, other, b_, 1);
    graph().release(graph().end({}));
    finish_all();
    EXPECT_EQ(*a_, 0);
    EXPECT_EQ(*b_, 1);
    streams().close(other);
}

// cudaErrorStreamCaptureUnsupported of CUDA.
TEST_F(Streams, WhatCannotBeNotedIsRefused) {
    for (const bool deferred : {true, false}) {
        settings().deferred = deferred;
        const Event mark = streams().event();
        graph().begin({});
        EXPECT_THROW(memory().alloc(4), Error);
        EXPECT_THROW(memory().alloc_host(4), Error);
        EXPECT_THROW(memory().synchronize({}), Error);
        EXPECT_THROW(memory().copy_in(a_, host_, 4, {}), Error);
        EXPECT_THROW(memory().copy_out(host_, a_, 4, {}), Error);
        EXPECT_THROW(streams().record(mark, {}), Error);
        EXPECT_THROW(streams().follow({}, mark), Error);
        EXPECT_THROW(streams().wait(mark), Error);
        EXPECT_THROW(graph().begin({}), Error);
        graph().release(graph().end({}));

        void* const block = memory().alloc(4);
        graph().begin({});
        memory().release(block);
        EXPECT_THROW(graph().end({}), Error) << "as CUDA's capture, which is invalid then";
        memory().synchronize({});  // the capture has ended
        EXPECT_THROW(graph().end({}), Error);
        streams().drop(mark);
    }
}

}  // namespace
}  // namespace fp::emulated
