#include "engine/data/split.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <unordered_map>

#include "engine/io/columns.h"
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

// The patient of each sample, empty where unknown.
std::vector<std::string> patients(const Dataset& data) {
    const int column = find_column(data.columns, "patient_id");
    std::vector<std::string> names(data.samples.size());
    if (column < 0) return names;
    for (size_t i = 0; i < names.size(); ++i) {
        const std::string& name = data.samples[i].attributes[size_t(column)];
        if (!is_unknown(name)) names[i] = name;
    }
    return names;
}

// A number for each sample, equal where two must stay on one side.
std::vector<int64_t> groups_of(const Dataset& data, const std::vector<std::pair<int64_t, int64_t>>& same_side) {
    Together together(data.samples.size());
    const std::vector<std::string> patient = patients(data);
    std::unordered_map<std::string_view, int64_t> of_unit, of_patient;
    for (size_t i = 0; i < data.samples.size(); ++i) {
        const int64_t self = int64_t(i);
        together.join(self, of_unit.emplace(data.samples[i].unit, self).first->second);
        if (!patient[i].empty()) together.join(self, of_patient.emplace(patient[i], self).first->second);
    }
    for (const auto& [a, b] : same_side) together.join(a, b);
    std::vector<int64_t> group(data.samples.size());
    for (size_t i = 0; i < group.size(); ++i) group[i] = together.root(int64_t(i));
    return group;
}

std::vector<int> deal(const Dataset& data,
                      const std::vector<int64_t>& who,
                      const std::vector<int64_t>& group,
                      const std::vector<double>& shares,
                      uint64_t seed) {
    std::vector<int> label;
    std::vector<int64_t> tied;
    std::vector<std::string> order;
    for (const int64_t i : who) {
        label.push_back(data.samples[size_t(i)].label);
        tied.push_back(group[size_t(i)]);
        order.push_back(data.samples[size_t(i)].unit);
    }
    return stratified_parts(label, tied, order, shares, seed);
}

}  // namespace

std::vector<int> stratified_parts(const std::vector<int>& label,
                                  const std::vector<int64_t>& group,
                                  const std::vector<std::string>& order,
                                  const std::vector<double>& shares,
                                  uint64_t seed) {
    struct Group {
        std::vector<size_t> members;
        uint64_t place = UINT64_MAX;  // in the drawn order
        std::string_view name;        // breaks a tie of places
    };
    std::map<int64_t, Group> by_id;
    std::map<int, double> class_size;
    for (size_t i = 0; i < label.size(); ++i) {
        Group& g = by_id[group[i]];
        g.members.push_back(i);
        const uint64_t place = xxh3_64(std::as_bytes(std::span(order[i])), seed);
        if (std::pair(place, std::string_view(order[i])) < std::pair(g.place, g.name) || g.name.data() == nullptr) {
            g.place = place;
            g.name = order[i];
        }
        class_size[label[i]] += 1;
    }
    std::vector<const Group*> dealt;
    for (const auto& [id, g] : by_id) dealt.push_back(&g);
    std::sort(dealt.begin(), dealt.end(), [](const Group* a, const Group* b) {
        if (a->members.size() != b->members.size()) return a->members.size() > b->members.size();
        return std::pair(a->place, a->name) < std::pair(b->place, b->name);
    });

    // have[p][c]: samples of class c in part p. A group goes where
    //   chi^2 = sum_pc (have_pc - want_pc)^2 / want_pc,   want_pc = share_p size_c,
    // grows least: with n_c samples of class c by 2 sum_c n_c (have_pc + n_c / 2) / want_pc + a constant.
    std::vector<std::map<int, double>> have(shares.size());
    std::vector<int> part(label.size(), 0);
    for (const Group* g : dealt) {
        std::map<int, double> added;
        for (const size_t i : g->members) added[label[i]] += 1;
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

void draw_split(Dataset& data, uint64_t seed, const std::vector<std::pair<int64_t, int64_t>>& same_side) {
    std::vector<int64_t> all(data.samples.size());
    std::iota(all.begin(), all.end(), 0);
    const auto part = deal(data, all, groups_of(data, same_side), {0.6, 0.2, 0.2}, seed);
    for (size_t i = 0; i < part.size(); ++i) data.samples[i].split = Split(part[i]);
    data.split_was_drawn = true;
}

void draw_validation(Dataset& data, uint64_t seed) {
    const std::vector<int64_t> train = members(data, Split::train);
    const auto part = deal(data, train, groups_of(data, {}), {0.8, 0.2}, seed);
    for (size_t i = 0; i < part.size(); ++i) data.samples[size_t(train[i])].split = Split(part[i]);
}

std::vector<std::string> parted_units(const Dataset& data) {
    std::map<std::string, Split> side;
    std::set<std::string> parted;
    const auto visit = [&](const std::string& name, Split split) {
        if (side.emplace(name, split).first->second != split) parted.insert(name);
    };
    const std::vector<std::string> patient = patients(data);
    for (size_t i = 0; i < data.samples.size(); ++i) {
        visit(data.samples[i].unit, data.samples[i].split);
        if (!patient[i].empty()) visit(patient[i], data.samples[i].split);
    }
    return {parted.begin(), parted.end()};
}

int64_t shared_images(const Dataset& data, Split split, Split other) {
    const std::vector<std::string> patient = patients(data);
    std::set<std::string> there;
    for (const int64_t i : members(data, other)) {
        there.insert(data.samples[size_t(i)].unit);
        if (!patient[size_t(i)].empty()) there.insert(patient[size_t(i)]);
    }
    const std::vector<int64_t> own = members(data, split);
    return std::count_if(own.begin(), own.end(), [&](int64_t i) {
        return there.contains(data.samples[size_t(i)].unit) || there.contains(patient[size_t(i)]);
    });
}

Table split_table(const Dataset& data) {
    Table table{.header = {"image", "label", "split"}, .rows = {}, .lines = {}, .name = ""};
    for (std::string column : data.columns) {
        while (table.column(column) >= 0) column += "_before";
        table.header.push_back(column);
    }
    for (const Sample& sample : data.samples) {
        table.rows.push_back({sample.image, data.classes[size_t(sample.label)], std::string(name(sample.split))});
        auto& row = table.rows.back();
        row.insert(row.end(), sample.attributes.begin(), sample.attributes.end());
    }
    return table;
}

}  // namespace fp
