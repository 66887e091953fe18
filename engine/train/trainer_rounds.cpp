// Rounds: a batch of each rank (rank_exchange.h). What goes wrong on a rank until its batch is done is told to the
// others in the one small exchange at the round's end; until then the rank takes part as one without a batch.
#include <algorithm>
#include <cstring>
#include <type_traits>

#include "engine/parallel/agree.h"
#include "engine/parallel/gather.h"
#include "engine/train/trainer.h"
#include "kernels/error.h"

namespace fp {
namespace {

// What a rank says of a round.
struct Report {
    Sums sums;
    bool had_batch, stop;
    double momentum;  // of its norms
};

std::string packed(const Report& report) {
    static_assert(std::is_trivially_copyable_v<Report>);
    return {reinterpret_cast<const char*>(&report), sizeof report};
}

Report report_in(const std::string& bytes) {
    Report out;
    FP_CHECK(bytes.size() == sizeof out, "another rank's report is not understood");
    std::memcpy(&out, bytes.data(), sizeof out);
    return out;
}

// The losses, and behind them the samples.
std::vector<double> numbers_of(const GroupDro::Cells& cells) {
    std::vector<double> out = cells.losses;
    out.insert(out.end(), cells.samples.begin(), cells.samples.end());
    return out;
}

GroupDro::Cells cells_in(const std::vector<double>& numbers) {
    const auto half = numbers.begin() + std::ptrdiff_t(numbers.size() / 2);
    return {{numbers.begin(), half}, {half, numbers.end()}};
}

}  // namespace

// What its batch says of GroupDRO's cells; nothing without one.
GroupDro::Cells Trainer::cells_of(const Step* step) {
    const std::vector<double> losses = step ? losses_of(*step) : std::vector<double>();
    return losses.empty() ? GroupDro::Cells{} : dro_->cells_of(step->batch, losses);
}

// q moves by the batches in rank order; the weights of this rank's batch are those at its place in the order.
void Trainer::see_cells(Step* step, const std::vector<std::vector<double>>& of_ranks) {
    const Comm& comm = exchange_->comm();
    for (int rank = 0; rank < comm.ranks(); ++rank) {
        const GroupDro::Cells cells = cells_in(of_ranks[size_t(rank)]);
        dro_->see(cells, step ? step->batch.number : 0);
        if (rank != comm.rank() || cells.losses.empty()) continue;
        step->weights = dro_->weights(step->batch, cells);
        put_weights(*step);
    }
}

RankRound Trainer::round(const RankTurn& turn, double lr, uint64_t place, bool last) {
    if (exchange_) return close_round(open_round(turn, place, last), lr, last);
    if (turn.failed) std::rethrow_exception(turn.failed);
    if (turn.batch) return {.sums = {batch(*turn.batch, lr, place, last)}};
    if (last && pending_of_all_ > 0) update(lr);
    return {};
}

// This rank's batch, and what the ranks exchange of it. Returns every rank's Report.
std::vector<std::string> Trainer::open_round(const RankTurn& turn, uint64_t place, bool last) {
    const Comm& comm = exchange_->comm();
    std::exception_ptr failed = turn.failed;
    const auto rethrow = [&] {
        if (failed) std::rethrow_exception(failed);
    };
    bool in_layers = syncs_norms();  // they wait for those of every rank, so a failure between them is not told
    if (in_layers) agree(comm, rethrow);
    const auto attempt = [&](const auto& work) {
        try {
            if (!failed) work();
        } catch (...) {
            if (in_layers) throw;
            failed = std::current_exception();
        }
    };
    std::unique_ptr<Step> step;
    if (turn.batch)
        attempt([&] {
            step.reset(new Step(begin(*turn.batch, place)));
            if (moves_norms()) exchange_->prepare(step->options);
            forward(*step);
            results_.there.record({});
        });
    if (failed) step.reset();
    if (dro_) {
        GroupDro::Cells cells;
        attempt([&] { cells = cells_of(step.get()); });
        const auto of_ranks = gather_each(comm, numbers_of(cells));
        attempt([&] { see_cells(step.get(), of_ranks); });
    }
    exchange_->begin(step ? step->tape.get() : nullptr, moves_norms(), last);
    if (step) attempt([&] { backward(*step); });
    exchange_->finish(pending_ > 0 || (step && !failed));
    in_layers = false;
    Report mine{.sums = {}, .had_batch = false, .stop = turn.stop, .momentum = exchange_->left_momentum()};
    if (step)
        attempt([&] {
            mine.sums = finish(*step);
            mine.had_batch = mine.sums.samples > 0;
        });
    if (!step) network_.kernels().memory.synchronize({});  // the last update, as finish() does
    return agreed(comm, [&] {
        rethrow();
        return packed(mine);
    });
}

RankRound Trainer::close_round(const std::vector<std::string>& reports, double lr, bool last) {
    check_norm();
    RankRound out;
    std::vector<char> had_batch;
    double momentum = 0;
    for (const std::string& bytes : reports) {
        const Report report = report_in(bytes);
        had_batch.push_back(report.had_batch);
        if (report.had_batch) out.sums.push_back(report.sums);
        out.stop = out.stop || report.stop;
        momentum = std::max(momentum, report.momentum);
    }
    if (moves_norms()) {
        exchange_->move_statistics(had_batch, momentum);
        network_.batches_seen += syncs_norms() ? 1 : int64_t(out.sums.size());
        network_.params.touch();
    }
    pending_of_all_ += int(out.sums.size());
    if (last && pending_of_all_ > 0) update(lr);
    return out;
}

}  // namespace fp
