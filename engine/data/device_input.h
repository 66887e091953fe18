// From a batch of 8-bit images to the first row of a tape.
//
// Batches go to the device by a stream of its own, into two places in turn: while the device works on one, the
// next is under way.
#pragma once

#include <array>

#include "engine/core/tape.h"
#include "engine/data/loader.h"
#include "engine/data/preprocessing.h"

namespace fp {

class Feed {
public:
    Feed(const Kernels& k, const Preprocessing& p);
    ~Feed();
    Feed(const Feed&) = delete;
    Feed& operator=(const Feed&) = delete;

    // All rows of the batch, padding included (its images are black). The batch's memory is free at return.
    Var operator()(Tape&, const Batch&);

    // The same in pieces. upload() starts the copy and answers which of the two places it goes to; what the
    // device is given from now on comes after it. images() and labels() are in that place; free_place() says
    // that what the device has been given reads it last. arrived() waits until the batch's memory is free.
    static constexpr int kPlaces = 2;
    int upload(const Batch&);
    Var images(Tape&, int place, int n) const;
    const int32_t* labels(int place) const;
    void free_place(int place) { places_[place].used.record({}); }
    void arrived(int place) const { places_[place].ready.wait(); }
    // Where the images and labels of this place lie, until a larger batch comes.
    std::array<const void*, 2> addresses(int place) const {
        return {places_[place].rgb.data(), places_[place].labels.data()};
    }

private:
    struct Place {
        explicit Place(const Order& order) : ready(order), used(order) {}
        Buffer rgb, labels;
        HostBuffer host_labels;
        Mark ready, used;
    };
    const Kernels& kernels_;
    Preprocessing preprocessing_;
    Buffer constants_;  // means and deviations of the three channels
    Stream copies_;
    Place places_[kPlaces];
    int next_ = 0;
};

}  // namespace fp
