// Batches of 8-bit images, prepared ahead by worker threads and delivered in order.
//
// The content of a batch depends on (source, order, epoch key, batch number) alone: neither on the number of workers
// or ranks nor on the batch at which an epoch was resumed. Of several ranks each prepares its own batches alone. Workers sleep when the queue is full and run at low priority, so that
// they use the time that compute threads leave.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/core/memory.h"
#include "engine/data/augment/augment.h"

namespace fp {

// Writes sample's `view` as side x side x 3 bytes. Called from several threads at once. An image that cannot be read is
// an Error with Exit::data that names the file.
using ImageSource = std::function<void(int64_t sample, const View& view, int side, uint8_t* rgb)>;

// The images of a run that could not be read. Filled by several threads at once.
class UnreadableImages {
public:
    void add(int64_t sample, const std::string& reason) {
        const std::lock_guard lock(mutex_);
        reasons_.emplace(sample, reason);
    }
    std::map<int64_t, std::string> reasons() const {  // by sample
        const std::lock_guard lock(mutex_);
        return reasons_;
    }

private:
    mutable std::mutex mutex_;
    std::map<int64_t, std::string> reasons_;
};

// What the Error of an image that cannot be read ends in where it might have been skipped (LoaderOptions::skip_bad).
inline constexpr std::string_view kMaySkip = "; images that cannot be read may be skipped";

struct LoaderOptions {
    int batch_size = 32;
    int image_size = 224;
    int workers = 0;                   // 0: one per hardware thread, a quarter of that once `ready` says so
    int processes = 1;                 // of this machine that share the hardware threads where `workers` is 0
    int rank = 0, ranks = 1;           // the batches of this loader: those with number % ranks == rank
    std::function<bool()> ready = {};  // whether no image has to be decoded any more; asked by start()
    bool drop_last = false;            // leave out the last batch if it is not full; else it is padded
    bool skip_bad = false;             // an image that cannot be read becomes padding; else it is fatal
    std::optional<AugmentOptions> augment = std::nullopt;
    const Memory* memory = nullptr;  // whose alloc_host batches lie in; null: anywhere
};

// Rows of padding have sample -1, label -1 and black pixels.
struct Batch {
    int n = 0;                          // rows, always the batch size
    std::vector<int64_t> samples = {};  // indices into the data set
    std::vector<int32_t> labels = {};
    const uint8_t* rgb = nullptr;  // n x size x size x 3, valid until the next call of next() or start()
    int64_t number = 0;            // in the epoch, from 0
};

class Loader {
public:
    // labels[sample] for every sample that an order may name.
    Loader(ImageSource source, std::vector<int32_t> labels, const LoaderOptions& options);
    ~Loader();
    Loader(const Loader&) = delete;
    Loader& operator=(const Loader&) = delete;

    // Begins an epoch over the samples of `order`, in that order. A sample that occurs more than once is augmented
    // differently each time. `first_batch` resumes an epoch.
    void start(std::vector<int64_t> order, uint64_t epoch_key, int64_t first_batch = 0);

    // The next batch of this rank, or false at the end of the epoch. Throws what the source threw.
    bool next(Batch& batch);

    int64_t batches() const { return batches_; }                 // of the whole epoch, on all ranks
    double seconds_waiting() const { return seconds_waiting_; }  // for batches in next(), all epochs

private:
    struct Slot {
        HostBuffer rgb;
        std::vector<int64_t> samples;
        std::vector<int32_t> labels;
        int rows_left = 0;  // rows of the batch that are not ready
        int64_t turn = -1;
        int failed_row = 0;        // the first row whose image is fatal
        std::exception_ptr error;  // and why
    };
    void work(int worker);
    int wanted_workers() const;
    int64_t take_rows();
    void make(int64_t begin, int64_t end);
    bool make_row(int64_t position, uint8_t* rgb);
    // Batches of this rank are counted by turns; the loader's rows are those of its turns.
    int64_t number_of(int64_t turn) const { return turn * options_.ranks + options_.rank; }
    int64_t turns_before(int64_t batch) const { return (batch - options_.rank + options_.ranks - 1) / options_.ranks; }
    Slot& slot_of(int64_t turn) { return slots_[size_t(turn) % kSlots]; }

    const ImageSource source_;
    const std::vector<int32_t> labels_;
    const LoaderOptions options_;

    std::vector<int64_t> order_;
    std::vector<int32_t> repeats_;  // how often order_[i] occurs before i
    uint64_t epoch_key_ = 0;
    int64_t batches_ = 0, end_ = 0;  // of all ranks; turns of this one
    double seconds_waiting_ = 0;

    std::mutex mutex_;  // guards what follows
    std::condition_variable work_to_do_, batch_made_;
    static constexpr int64_t kSlots = 4;  // one batch in use and three that may wait
    Slot slots_[kSlots];
    int64_t next_row_ = 0;   // of the epoch: the first that no worker has taken
    int64_t delivered_ = 0;  // turns before this one have been handed out
    int64_t released_ = 0;   // turns before this one are no longer looked at
    int active_ = 0;         // workers that take rows; the others sleep
    int busy_ = 0;           // workers outside the lock
    bool stop_ = false;

    std::vector<std::thread> workers_;
};

}  // namespace fp
