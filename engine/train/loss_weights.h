// What the loss of a sample counts for by its group: constant weights, or those that GroupDRO learns.
//
// Both scale a sample's loss u_n in the gradient, (1 / N) sum_n u_n loss_n over the N samples of a batch; the loss that
// is reported stays the plain mean. A sample of unknown group counts as it would without weights.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/data/dataset.h"
#include "engine/data/loader.h"

namespace fp {

// Constant weights, over the n training images of known group.
struct SampleWeighting {
    std::string_view name, says;

    static const SampleWeighting none, reweighing, class_group;
    static constexpr std::string_view kind = "sample weights";
    static std::span<const SampleWeighting* const> all();

    bool operator==(const SampleWeighting& other) const { return name == other.name; }
};
// n_g n_y / (n n_gy): what the cell would hold were class and group independent, over what it holds. Groups keep their
// share, and with these weights a class says nothing of the group (Kamiran and Calders, 2012).
inline constexpr SampleWeighting SampleWeighting::none{.name = "none", .says = "all count alike"};
inline constexpr SampleWeighting SampleWeighting::reweighing{
    .name = "reweighing",
    .says = "P(group) P(class) / P(group, class), Kamiran and Calders, https://doi.org/10.1007/s10115-011-0463-8"};
// n / (m n_gy), m being the cells with images: every group of every class counts alike.
inline constexpr SampleWeighting SampleWeighting::class_group{
    .name = "class-group", .says = "every group of every class alike: 1 / its images"};

// By sample of the data set; 1 for samples of unknown group.
std::vector<float> sample_weights(const SampleWeighting&, const Dataset&, const Grouping&);

struct GroupDroOptions {
    double eta = 0;         // step size of the weights q; 0: off
    bool by_class = false;  // over every group of every class, instead of over groups
};

// A partition of the data set's samples.
struct LossCells {
    std::vector<std::string> names = {};
    std::vector<int32_t> of = {};  // by sample of the data set, -1: of unknown group
};
// The cells that have training images.
LossCells loss_cells(const Dataset&, const Grouping&, bool by_class);

// Group distributionally robust optimisation, the online algorithm of Sagawa, Koh, Hashimoto and Liang, ICLR 2020
// (https://arxiv.org/abs/1911.08731 ). Of a batch with N samples, K of them of known group and n_g of cell g:
//
//   q_g  <- q_g exp(eta mean_{i in g} loss_i), then sum_g q_g = 1       a cell without samples in the batch: exp(0)
//   u_i   = q_g K / n_g        so that sum_i u_i loss_i = K sum_g q_g mean_{i in g} loss_i;   1 for an unknown group
class GroupDro {
public:
    GroupDro(double eta, LossCells);

    // Updates q and returns u, one per row. `losses`: one per row; rows of padding (label -1) have weight 0.
    std::vector<float> weigh(const Batch&, std::span<const double> losses);

    // The same in steps, for batches of several ranks: what a batch says of each cell, the update of q, and u.
    struct Cells {
        std::vector<double> losses, samples;  // sums; of a batch that says nothing both are empty
    };
    Cells cells_of(const Batch&, std::span<const double> losses) const;
    void see(const Cells&, int64_t batch);  // the batch's number, for messages
    std::vector<float> weights(const Batch&, const Cells&) const;

    const std::vector<double>& q() const { return q_; }
    void set_q(std::vector<double> q) { q_ = std::move(q); }
    const std::vector<std::string>& names() const { return cells_.names; }

private:
    int32_t cell_of(const Batch& b, int row) const { return cells_.of[size_t(b.samples[size_t(row)])]; }

    double eta_;
    LossCells cells_;
    std::vector<double> q_;
};

// What the trainer is given; at most one of both is there.
struct LossWeights {
    std::vector<float> of = {};  // by sample of the data set
    double eta = 0;              // of GroupDRO over `cells`; 0: off
    LossCells cells = {};

    explicit operator bool() const { return !of.empty() || eta > 0; }
};

}  // namespace fp
