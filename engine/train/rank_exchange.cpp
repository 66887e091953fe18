#include "engine/train/rank_exchange.h"

#include <algorithm>
#include <cmath>

#include "engine/core/elements.h"
#include "engine/parallel/gather.h"

namespace fp {
RankExchange::RankExchange(Network& network, const Comm& comm, const RankExchangeOptions& options)
    : network_(network), comm_(comm), options_(options), calls_(network.kernels()) {
    const Kernels& k = network.kernels();
    place_buckets();
    network.params.grads();  // they have their memory before calls_ reads it in a thread and stream of its own
    size_t scratch_bytes = 1;
    for (const Bucket& b : buckets_) scratch_bytes = std::max(scratch_bytes, comm.reduce_bytes(k, b.end - b.begin));
    scratch_.grow(k.memory, scratch_bytes);
    const size_t statistics = size_t(network.params.statistics_count()) * size_t(bytes_of(k.parameter));
    own_.grow(k.memory, std::max<size_t>(statistics, 1));
    all_.grow(k.memory, std::max<size_t>(statistics * size_t(comm.ranks()), 1));
    k.memory.zero(own_.data(), statistics, {});
    if (options.watch_gradients) {
        const size_t bytes = std::max<size_t>(buckets_.size(), 1) * sizeof(double);
        squares_.grow(k.memory, bytes);
        seen_.grow(k.memory, bytes);
        size_t most = 1;
        for (const Bucket& b : buckets_) most = std::max(most, k.optimizer.scratch_bytes(b.end - b.begin));
        squares_scratch_.grow(k.memory, most);
    }
    of_ranks_ = [this](const std::vector<double>& mine) {
        std::vector<std::vector<double>> out;
        calls_.submit([&](Stream) { out = gather_as_many(comm_, mine); });
        calls_.wait();
        return out;
    };
}

par* RankExchange::at(par* block, int64_t element) const {
    return reinterpret_cast<par*>(reinterpret_cast<char*>(block) + element * bytes_of(network_.kernels().parameter));
}

// In the order in which backward completes them: filters from the end of the block, then vectors.
void RankExchange::place_buckets() {
    const Kernels& k = network_.kernels();
    const int64_t chosen = k.memory.is_host ? 4 << 20 : 25 << 20;
    const int64_t bytes = options_.bucket_bytes > 0 ? options_.bucket_bytes : chosen;
    const int64_t elements = std::max<int64_t>(bytes / bytes_of(k.parameter), 1);
    const int64_t size = round_up(elements, int64_t(comm_.ranks()));  // Comm::reduce then copies nothing
    for (const bool filters : {true, false}) {
        std::vector<ParamStore::Run> runs = network_.params.runs(filters);
        std::ranges::reverse(runs);
        for (const auto [begin, end] : runs)
            for (int64_t last = end; last > begin; last -= size)
                buckets_.push_back({std::max(begin, last - size), last});
    }
}

// A bucket is complete after the first row that has one of its parameters.
void RankExchange::find_rows(const Tape& tape) {
    for (Bucket& b : buckets_) b.row = int(tape.nodes().size());
    for (int row = int(tape.nodes().size()) - 1; row >= 0; --row)
        for (const ParamUse& use : tape.nodes()[size_t(row)].params) {
            if (!use.param->trained()) continue;
            const int64_t begin = use.param->offset, end = begin + use.param->shape.stored();
            for (Bucket& b : buckets_)
                if (begin < b.end && b.begin < end) b.row = row;
        }
}

void RankExchange::prepare(TapeOptions& options) {
    options.batch_statistics = own_.as<par>();
    if (options_.sync_norms) options.of_ranks = &of_ranks_;
}

void RankExchange::begin(Tape* tape, bool statistics, bool gradients) {
    if (tape && tape->left_momentum() > 0) momentum_ = tape->left_momentum();
    const Kernels& k = network_.kernels();
    const size_t bytes = size_t(network_.params.statistics_count()) * size_t(bytes_of(k.parameter));
    if (statistics && !options_.sync_norms && bytes > 0)
        calls_.submit([this, &k, bytes](Stream stream) { comm_.gather(k, own_.data(), all_.data(), bytes, stream); });
    sent_ = 0;
    to_send_ = gradients ? buckets_.size() : 0;
    if (!tape || to_send_ == 0) return;
    find_rows(*tape);
    tape->after_backward_of([this](int row) {
        while (sent_ < to_send_ && buckets_[sent_].row >= row) send(sent_++);
    });
}

void RankExchange::send(size_t bucket) {
    calls_.submit([this, bucket](Stream stream) {
        const Kernels& k = network_.kernels();
        const auto [begin, end, row] = buckets_[bucket];
        par* const gradients = at(network_.params.grads(), begin);
        if (options_.watch_gradients) {
            double* const squares = squares_.as<double>() + bucket;
            k.optimizer.sum_squares(end - begin, gradients, squares, squares_scratch_.data(), stream);
            k.memory.copy_out_later(seen_.as<double>() + bucket, squares, sizeof(double), stream);
        }
        comm_.reduce(k, gradients, end - begin, scratch_.data(), stream);
    });
}

void RankExchange::finish(bool has_gradients) {
    if (to_send_ > 0 && !has_gradients) clear_gradients();
    while (sent_ < to_send_) send(sent_++);
    calls_.wait();
}

// Of the buckets that are not sent: to -0, since x + (-0) is x for every x, which x + 0 is not for x = -0.
void RankExchange::clear_gradients() {
    const Kernels& k = network_.kernels();
    int64_t most = 0;
    for (const Bucket& b : buckets_) most = std::max(most, b.end - b.begin);
    std::vector<char> zeros(size_t(most) * size_t(bytes_of(k.parameter)));
    for (int64_t i = 0; i < most; ++i) set_element(zeros.data(), k.parameter, i, -0.0);
    for (size_t i = sent_; i < buckets_.size(); ++i) {
        const auto [begin, end, row] = buckets_[i];
        k.memory.copy_in(at(network_.params.grads(), begin), zeros.data(),
                         size_t(end - begin) * size_t(bytes_of(k.parameter)), {});
    }
    k.memory.synchronize({});  // before `zeros` goes
}

void RankExchange::move_statistics(const std::vector<char>& had_batch, double momentum) {
    const Kernels& k = network_.kernels();
    const int64_t count = network_.params.statistics_count();
    if (count == 0 || momentum == 0) return;
    const auto follow = [&](int batches, const Buffer& from, int first) {
        k.batchnorm.follow(count, batches, momentum,
                           {.running = network_.params.statistics(), .of = at(from.as<par>(), first * count)}, {});
    };
    if (options_.sync_norms) return follow(1, own_, 0);
    for (int first = 0, last; first < int(had_batch.size()); first = last + 1) {
        for (last = first; last < int(had_batch.size()) && had_batch[size_t(last)];) ++last;
        if (last > first) follow(last - first, all_, first);
    }
}

std::string RankExchange::whose_gradient() const {
    double squares = 0;
    for (size_t i = 0; i < buckets_.size(); ++i) squares += seen_.as<double>()[i];
    for (const std::string& of_rank : comm_.gather(std::isfinite(squares) ? "" : name(comm_.numbered())))
        if (!of_rank.empty()) return of_rank;
    return "";
}

}  // namespace fp
