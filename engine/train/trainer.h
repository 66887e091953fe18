// Training steps on one network, and the state that resuming needs. The bits of a step depend only on the network, the
// batch and the step's position in the run. With several ranks a step is never replayed from a StepGraph, since its
// exchanges are part of backward.
#pragma once

#include <array>
#include <exception>
#include <memory>
#include <optional>

#include "engine/core/loss.h"
#include "engine/core/rounded_weights.h"
#include "engine/core/step_graph.h"
#include "engine/data/device_input.h"
#include "engine/io/safetensors.h"
#include "engine/train/loss_weights.h"
#include "engine/train/optimizer.h"
#include "engine/train/rank_exchange.h"
#include "engine/train/schedule.h"
#include "engine/train/snnl_penalty.h"

namespace fp {

struct TrainerOptions {
    OptimizerOptions optimizer = {};
    std::vector<double> class_weights = {};  // of the loss; none: all 1
    double smoothing = 0;
    int accumulate = 1;  // batches per step, of each rank
    double ema = 0;      // decay of the moving average of weights and statistics; 0: none
    uint64_t seed = 1;
    // The network runs as in evaluation, without dropout and with its running statistics, which stay: what is not
    // trained gives the features that it gives there.
    bool fixed_features = false;
    double l1 = 0;         // after an update, the weights of linear layers that are trained shrink towards 0 by lr l1
    Penalty penalty = {};  // on top of the loss; empty: none
    LossWeights weights = {};  // of the samples' losses by group; empty: all 1

    // The ranks that train one network together (rank_exchange.h), which is to outlive the trainer; null: this one.
    const Comm* ranks = nullptr;
    bool sync_norms = false;   // batch norms over the batches of all ranks
    int64_t bucket_bytes = 0;  // of the gradients that ranks exchange at a time; 0: chosen (RankExchangeOptions)
};

// Over some steps of training.
struct Sums {
    double loss = 0, penalty = 0;  // summed over samples
    double weighted = 0;           // the loss with TrainerOptions::weights; 0 without them
    int64_t samples = 0, correct = 0;

    void add(const Sums& other) {
        loss += other.loss;
        penalty += other.penalty;
        weighted += other.weighted;
        samples += other.samples;
        correct += other.correct;
    }
};

// What a rank brings to a round, which is one batch of each rank.
struct RankTurn {
    const Batch* batch = nullptr;    // null: none, or none of its images can be read
    std::exception_ptr failed = {};  // why it has none, where that ends the run on all ranks
    bool stop = false;               // this rank is asked to stop
};
struct RankRound {
    std::vector<Sums> sums;  // of the batches that there were, in rank order
    bool stop = false;       // a rank was asked to
};

class Trainer {
public:
    Trainer(Network&, const Preprocessing&, const TrainerOptions&);

    // Forward, loss and backward of one batch; every `accumulate` batches, or with `last`, an update. `place` keys the
    // dropout. A loss that is not finite is an Error (Exit::diverged) that names the first layer with such a value.
    Sums batch(const Batch&, double lr, uint64_t place, bool last);
    // The same of a batch of each rank, which all ranks call alike; on one rank a batch that may be missing. An error
    // of any rank is thrown on all as a SharedError (engine/parallel/agree.h).
    RankRound round(const RankTurn&, double lr, uint64_t place, bool last);
    // Gradients whose norm is not finite change no weight where clipping is on. The host learns of it late: as an Error
    // (Exit::diverged) here, where it waits for the last update, and in the next batch() or save(). A call of all ranks.
    void check_update() const;

    Network& network() { return network_; }
    Session& session() { return session_; }
    const OptimizerState& optimizer() const { return optimizer_; }
    const std::optional<GroupDro>& group_dro() const { return dro_; }

    // During its life the network has the averaged weights, if there is an average. Where the device fails to restore
    // the raw ones, the next batch() or save() throws that error.
    class Averaged {
    public:
        explicit Averaged(Trainer&);
        ~Averaged();
        Averaged(const Averaged&) = delete;
        Averaged& operator=(const Averaged&) = delete;

    private:
        Trainer& trainer_;
        Buffer held_;
    };
    bool has_average() const { return options_.ema > 0; }
    // The averaged weights, where there are any, become the network's own; the trainer cannot be used after it.
    void adopt_average();

    // What a checkpoint holds beside the model: momenta by parameter name, step count, GroupDRO's q. With averaging the
    // checkpoint's model is the averaged one (save it under Averaged), and the raw weights are here.
    std::vector<TensorEntry> save() const;
    // For a trainer of a network that holds the checkpoint's model. Exit::model where it is another network's.
    void load(const std::vector<TensorEntry>&);

private:
    // One step's tape on its way through forward and backward.
    struct Step {
        const Batch& batch;
        int slot;  // of the input
        TapeOptions options;
        std::optional<RoundedWeights::InUse> rounded = {};
        std::unique_ptr<Tape> tape = {};
        Var logits = {};
        LossRow loss = {};
        std::vector<float> weights = {};  // of the rows; empty: all 1
        double penalty = 0;
    };
    Step begin(const Batch&, uint64_t place);
    void forward(Step&);
    void backward(Step&);
    Sums finish(Step&);
    void weigh(Step&);
    std::vector<double> losses_of(const Step&);
    void put_weights(Step&);
    GroupDro::Cells cells_of(const Step*);
    void see_cells(Step*, const std::vector<std::vector<double>>& of_ranks);
    std::vector<std::string> open_round(const RankTurn&, uint64_t place, bool last);
    RankRound close_round(const std::vector<std::string>& reports, double lr, bool last);
    bool moves_norms() const { return !options_.fixed_features; }
    bool syncs_norms() const { return moves_norms() && exchange_->sync_norms(); }
    double weighted_loss(const Step&) const;
    [[noreturn]] void explain(Step&, double loss);
    void update(double lr);
    void shrink(double by);
    void check_norm() const;
    void check_weights() const;
    // A flat block of the network's numbers and its average.
    struct Averages {
        par* now;
        Buffer& average;
        int64_t count;
        size_t bytes;
    };
    std::array<Averages, 2> averages();  // of values and statistics
    void swap_average(Buffer& held);

    Network& network_;
    TrainerOptions options_;
    Session session_;
    DeviceInput input_;
    CrossEntropy entropy_;
    RoundedWeights rounded_;
    OptimizerState optimizer_;
    // What the host reads of a step.
    struct Results {
        explicit Results(const StreamApi& streams) : there(streams) {}
        void fetch(Tape&, Var logits, const LossRow&, bool each);
        double loss() const { return mean_loss(sums.as<double>()); }
        // The samples' losses, where fetch() was told to bring each.
        std::vector<double> losses(Type) const;

        HostBuffer sums, logits, each;
        Map map;  // of the logits
        OwnedEvent there;
    };
    Results results_;
    std::optional<GroupDro> dro_;
    HostBuffer host_weights_;  // GroupDRO's of the batch
    Buffer device_weights_;
    // By input slot, and whether gradients are added to those of the batch before.
    std::unique_ptr<StepGraph> graphs_[DeviceInput::kSlots][2];
    Buffer average_[2];
    int pending_ = 0;                         // batches of this rank since the last update
    int pending_of_all_ = 0;                  // of all ranks
    std::exception_ptr fault_;                // of Averaged's destructor
    std::unique_ptr<RankExchange> exchange_;  // null: alone
};

}  // namespace fp
