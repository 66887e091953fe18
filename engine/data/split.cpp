#include "engine/data/split.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "engine/io/columns.h"
#include "engine/io/files.h"
#include "engine/io/hash.h"
#include "kernels/error.h"

namespace fp {
namespace {

// Sets of samples that belong together (union-find with path halving).
class Together {
public:
    explicit Together(size_t n) : parent_(n) { std::iota(parent_.begin(), parent_.end(), 0); }
    int64_t root(int64_t i) {
        while (parent_[size_t(i)] != i) i = parent_[size_t(i)] = parent_[size_t(parent_[size_t(i)])];
        return i;
    }
    void join(int64_t a, int64_t b) { parent_[size_t(root(a))] = root(b); }

private:
    std::vector<int64_t> parent_;
};

// Calls visit(i, name) for the unit of every sample and for its patient where known. Samples with equal names stay
// together; a unit and a patient are never equal.
using TieName = std::pair<bool, std::string_view>;
template <class Visit>
void for_each_tie(const Dataset& data, const Visit& visit) {
    const int patient = find_column(data.columns, "patient_id");
    for (size_t i = 0; i < data.samples.size(); ++i) {
        const Sample& sample = data.samples[i];
        visit(i, TieName(false, sample.unit));
        if (patient >= 0 && !is_unknown(sample.attributes[size_t(patient)]))
            visit(i, TieName(true, sample.attributes[size_t(patient)]));
    }
}

// Deals the samples `who` to as many splits as there are shares.
void deal(Dataset& data,
          const std::vector<int64_t>& who,
          const SampleSets& same_side,
          const std::vector<double>& shares,
          uint64_t seed) {
    Together together(data.samples.size());
    std::map<TieName, int64_t> first;
    for_each_tie(data, [&](size_t i, const TieName& name) {
        together.join(int64_t(i), first.emplace(name, int64_t(i)).first->second);
    });
    for (const auto& set : same_side)
        for (const int64_t i : set) together.join(i, set[0]);
    std::vector<Tied> tied;
    for (const int64_t i : who)
        tied.push_back({data.samples[size_t(i)].label, together.root(i), data.samples[size_t(i)].unit});
    const std::vector<int> part = stratified_parts(tied, shares, seed);
    for (size_t i = 0; i < who.size(); ++i) data.samples[size_t(who[i])].split = Split(part[i]);
}

}  // namespace

std::vector<int> stratified_parts(const std::vector<Tied>& tied, const std::vector<double>& shares, uint64_t seed) {
    struct Group {
        std::vector<size_t> members;
        std::pair<uint64_t, std::string_view> place;  // in the drawn order; a name breaks a tie
    };
    std::map<int64_t, Group> by_id;
    std::map<int, double> class_size;
    for (size_t i = 0; i < tied.size(); ++i) {
        Group& g = by_id[tied[i].group];
        g.members.push_back(i);
        const std::pair place(xxh3_64(std::as_bytes(std::span(tied[i].name)), seed), std::string_view(tied[i].name));
        if (g.members.size() == 1 || place < g.place) g.place = place;
        class_size[tied[i].label] += 1;
    }
    std::vector<const Group*> dealt;
    for (const auto& [id, g] : by_id) dealt.push_back(&g);
    std::sort(dealt.begin(), dealt.end(), [](const Group* a, const Group* b) {
        if (a->members.size() != b->members.size()) return a->members.size() > b->members.size();
        return a->place < b->place;
    });

    // have[p][c]: samples of class c in part p. A group goes where
    //   chi^2 = sum_pc (have_pc - want_pc)^2 / want_pc,   want_pc = share_p size_c,
    // grows least: with n_c samples of class c by 2 sum_c n_c (have_pc + n_c / 2) / want_pc + a constant.
    std::vector<std::map<int, double>> have(shares.size());
    std::vector<int> part(tied.size(), 0);
    for (const Group* g : dealt) {
        std::map<int, double> added;
        for (const size_t i : g->members) added[tied[i].label] += 1;
        size_t best = 0;
        double least = 1e300;
        for (size_t p = 0; p < shares.size(); ++p) {
            double growth = 0;
            for (const auto& [c, n] : added) growth += n * (have[p][c] + n / 2) / (shares[p] * class_size[c]);
            if (growth < least * (1 - 1e-12)) {  // of equals the first
                least = growth;
                best = p;
            }
        }
        for (const size_t i : g->members) part[i] = int(best);
        for (const auto& [c, n] : added) have[best][c] += n;
    }
    return part;
}

void draw_split(Dataset& data, uint64_t seed, const SampleSets& same_side) {
    std::vector<int64_t> all(data.samples.size());
    std::iota(all.begin(), all.end(), 0);
    deal(data, all, same_side, {0.6, 0.2, 0.2}, seed);
    data.split_seed = seed;
}

void draw_validation(Dataset& data, uint64_t seed) {
    deal(data, members(data, Split::train), {}, {0.8, 0.2}, seed);
    data.split_seed = seed;
}

void train_on_half_of_validation(Dataset& data, uint64_t seed) {
    for (const int64_t i : members(data, Split::train)) {
        data.samples[size_t(i)].split = Split::other;
        data.samples[size_t(i)].other_split = kFirstStage;
    }
    deal(data, members(data, Split::val), {}, {0.5, 0.5}, seed);
    data.notes.push_back(text("training on ", members(data, Split::train).size(), " images of val, the other ",
                              members(data, Split::val).size(), " validate; the split train is called ", kFirstStage));
}

std::vector<std::string> parted_units(const Dataset& data) {
    std::map<TieName, Split> side;
    std::set<std::string> parted;
    for_each_tie(data, [&](size_t i, const TieName& name) {
        const Split split = std::min(data.samples[i].split, Split::test);
        if (side.emplace(name, split).first->second != split) parted.emplace(name.second);
    });
    return {parted.begin(), parted.end()};
}

void refuse_parted(const std::string& data, const std::vector<std::string>& units, size_t files, bool allow) {
    if (allow || (units.empty() && files == 0)) return;
    const std::string first = units.empty() ? "" : text(", the first: ", printable(units[0]));
    fail_with(Exit::data, data, ": ", units.size(), " lesions or patients and ", files,
              " sets of equal files are on two sides of the split", first, kLeakIsPermitted);
}

int64_t shared_images(const Dataset& data, Split split, Split other) {
    std::set<TieName> there;
    for_each_tie(data, [&](size_t i, const TieName& name) {
        if (data.samples[i].split == other) there.insert(name);
    });
    std::set<size_t> shared;
    for_each_tie(data, [&](size_t i, const TieName& name) {
        if (data.samples[i].split == split && there.contains(name)) shared.insert(i);
    });
    return int64_t(shared.size());
}

void write_drawn_split(const std::filesystem::path& folder, const Dataset& data) {
    if (data.split_seed) write_csv(folder / "split.csv", split_table(data));
}

Table split_table(const Dataset& data) {
    Table table{.header = {"image", "label", "split"}, .rows = {}, .lines = {}, .name = ""};
    for (std::string column : data.columns) {
        while (table.column(column) >= 0) column += "_before";
        table.header.push_back(column);
    }
    for (const Sample& sample : data.samples) {
        table.rows.push_back({sample.image, data.classes[size_t(sample.label)], split_name(sample)});
        for (size_t c = 0; c < data.columns.size(); ++c) table.rows.back().push_back(sample.attributes[c]);
    }
    return table;
}

}  // namespace fp
