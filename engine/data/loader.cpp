#include "engine/data/loader.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {
namespace {

constexpr int64_t kPieceRows = 8;  // what a worker takes at a time
constexpr int kNice = 10;

// Keys of the crop and of the other augmentations of one sample.
enum Use : uint64_t { use_crop = 1, use_augment };

}  // namespace

Loader::Loader(ImageSource source, std::vector<int32_t> labels, const LoaderOptions& options)
    : source_(std::move(source)), labels_(std::move(labels)), options_(options) {
    FP_CHECK(options.batch_size > 0 && options.image_size > 0 && options.workers >= 0, "Loader: batch of ",
             options.batch_size, ", images of ", options.image_size, ", ", options.workers, " workers");
    FP_CHECK(options.rank >= 0 && options.rank < options.ranks && options.processes > 0, "Loader: rank ", options.rank,
             " of ", options.ranks, ", ", options.processes, " processes");
    const size_t bytes = size_t(3) * options.image_size * options.image_size * options.batch_size;
    for (Slot& slot : slots_) {
        slot.rgb.grow(options.memory ? *options.memory : kernels(Backend::reference).memory, bytes);
        slot.samples.resize(options.batch_size);
        slot.labels.resize(options.batch_size);
    }
}

int Loader::wanted_workers() const {
    if (options_.workers > 0) return options_.workers;
    const int hardware = std::max(1, int(std::thread::hardware_concurrency()) / options_.processes);
    return options_.ready && options_.ready() ? std::max(1, hardware / 4) : hardware;
}

Loader::~Loader() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    work_to_do_.notify_all();
    for (std::thread& worker : workers_) worker.join();
}

void Loader::start(std::vector<int64_t> order, uint64_t epoch_key, int64_t first_batch) {
    std::vector<int32_t> seen(labels_.size()), repeats(order.size());
    for (size_t i = 0; i < order.size(); ++i) {
        FP_CHECK(order[i] >= 0 && size_t(order[i]) < labels_.size(), "Loader: sample ", order[i], " of ",
                 labels_.size());
        repeats[i] = seen[order[i]]++;
    }
    const int64_t samples = int64_t(order.size());
    const int64_t batches = (samples + (options_.drop_last ? 0 : options_.batch_size - 1)) / options_.batch_size;
    FP_CHECK(first_batch >= 0 && first_batch <= batches, "Loader: batch ", first_batch, " of ", batches);

    const int wanted = wanted_workers();
    std::unique_lock lock(mutex_);
    active_ = wanted;
    next_row_ = end_ * options_.batch_size;  // nothing more of the old epoch
    batch_made_.wait(lock, [&] { return busy_ == 0; });
    order_ = std::move(order);
    repeats_ = std::move(repeats);
    epoch_key_ = epoch_key;
    batches_ = batches;
    end_ = turns_before(batches);
    delivered_ = released_ = turns_before(first_batch);
    next_row_ = delivered_ * options_.batch_size;
    for (Slot& slot : slots_) slot.turn = -1;
    lock.unlock();
    while (int(workers_.size()) < wanted)
        workers_.emplace_back([this, worker = int(workers_.size())] { work(worker); });
    work_to_do_.notify_all();
}

bool Loader::next(Batch& batch) {
    std::unique_lock lock(mutex_);
    if (released_ < delivered_) {
        released_ = delivered_;
        work_to_do_.notify_all();
    }
    if (delivered_ == end_) return false;
    Slot& slot = slot_of(delivered_);
    const auto made = [&] { return slot.turn == delivered_ && slot.rows_left == 0; };
    if (!made()) {
        const auto begin = std::chrono::steady_clock::now();
        batch_made_.wait(lock, made);
        seconds_waiting_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }
    if (slot.error) std::rethrow_exception(slot.error);
    batch.n = options_.batch_size;
    batch.samples = slot.samples;
    batch.labels = slot.labels;
    batch.rgb = slot.rgb.as<uint8_t>();
    batch.number = number_of(delivered_++);
    return true;
}

void Loader::work(int worker) {
    setpriority(PRIO_PROCESS, id_t(gettid()), kNice);  // on Linux, of this thread alone
    std::unique_lock lock(mutex_);
    while (true) {
        work_to_do_.wait(lock, [&] {
            const int64_t turn = next_row_ / options_.batch_size;
            return stop_ || (worker < active_ && turn < end_ && turn < released_ + kSlots);
        });
        if (stop_) return;
        const int64_t begin = next_row_, end = take_rows();
        ++busy_;
        lock.unlock();
        make(begin, end);
        lock.lock();
        --busy_;
        Slot& slot = slot_of(begin / options_.batch_size);
        slot.rows_left -= int(end - begin);
        if (slot.rows_left == 0 || busy_ == 0) batch_made_.notify_all();
    }
}

// Takes the next rows of one batch, and returns where they end.
int64_t Loader::take_rows() {
    const int64_t turn = next_row_ / options_.batch_size, begin = turn * options_.batch_size;
    if (next_row_ == begin) {
        Slot& slot = slot_of(turn);
        slot.turn = turn;
        slot.rows_left = options_.batch_size;
        slot.error = nullptr;
    }
    return next_row_ = std::min(next_row_ + kPieceRows, begin + options_.batch_size);
}

// Fills rows of one batch, or notes why that is impossible. Runs outside the lock: no two workers have the same rows,
// and nobody reads them before rows_left is 0.
void Loader::make(int64_t begin, int64_t end) {
    const int64_t turn = begin / options_.batch_size;
    Slot& slot = slot_of(turn);
    const size_t image_bytes = size_t(3) * options_.image_size * options_.image_size;
    for (int row = int(begin - turn * options_.batch_size); begin < end; ++begin, ++row) {
        const int64_t position = number_of(turn) * options_.batch_size + row;  // in the epoch's order
        uint8_t* rgb = slot.rgb.as<uint8_t>() + image_bytes * row;
        bool there = false;
        try {
            there = position < int64_t(order_.size()) && make_row(position, rgb);
        } catch (...) {
            const std::lock_guard lock(mutex_);
            if (!slot.error || row < slot.failed_row) {
                slot.error = std::current_exception();
                slot.failed_row = row;
            }
            return;
        }
        slot.samples[row] = there ? order_[position] : -1;
        slot.labels[row] = there ? labels_[order_[position]] : -1;
        if (!there) std::memset(rgb, 0, image_bytes);
    }
}

// False if the image is bad and may be skipped.
bool Loader::make_row(int64_t position, uint8_t* rgb) {
    const int64_t sample = order_[position];
    const uint64_t key = key_of(epoch_key_, uint64_t(sample), uint64_t(repeats_[position]));
    View view;
    if (options_.augment) view = {options_.augment->crop, options_.augment->least_area, key_of(key, use_crop)};
    try {
        source_(sample, view, options_.image_size, rgb);
    } catch (const Error& error) {
        if (error.exit != Exit::data) throw;
        if (options_.skip_bad) return false;
        fail_with(Exit::data, error.what(), kMaySkip);
    }
    if (options_.augment) augment(*options_.augment, key_of(key, use_augment), options_.image_size, rgb);
    return true;
}

}  // namespace fp
