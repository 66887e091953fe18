#include "engine/measure/layer_times.h"

#include <algorithm>
#include <cmath>

#include "kernels/error.h"

namespace fp {
namespace {

// The times of a row, of a table, of all passes.
struct Passes {
    std::vector<std::vector<LayerCost>> rows;  // by pass
    std::vector<double> seconds(size_t row) const {
        std::vector<double> out;
        for (const auto& pass : rows) out.push_back(pass[row].forward_seconds + pass[row].backward_seconds);
        return out;
    }
};

double middle(std::vector<double> values) { return median_of(std::move(values)).value; }

std::vector<double> quotients(const std::vector<double>& a, const std::vector<double>& b) {
    std::vector<double> out;
    for (size_t i = 0; i < a.size(); ++i) out.push_back(b[i] > 0 ? a[i] / b[i] : 0);
    return out;
}

Roofline middle(const std::vector<Roofline>& roofs) {
    const auto over = [&](auto value) {
        std::vector<double> out;
        for (const Roofline& r : roofs) out.push_back(value(r));
        return middle(std::move(out));
    };
    Roofline out{.flops = over([](const Roofline& r) { return r.flops; }), .levels = roofs.at(0).levels};
    for (size_t i = 0; i < out.levels.size(); ++i)
        out.levels[i].bytes = over([i](const Roofline& r) { return r.levels[i].bytes; });
    return out;
}

TimedRow row_of(const Passes& passes, size_t row, const std::vector<Roofline>& roofs, const Roofline& roof) {
    TimedRow out{.cost = passes.rows.at(0).at(row)};
    std::vector<double> forward, backward, bound;
    for (size_t p = 0; p < passes.rows.size(); ++p) {
        const LayerCost& c = passes.rows[p][row];
        forward.push_back(c.forward_seconds);
        backward.push_back(c.backward_seconds);
        bound.push_back(lower_bound(roofs[p], c).seconds);
    }
    out.cost.forward_seconds = middle(forward);
    out.cost.backward_seconds = middle(backward);
    const std::vector<double> seconds = passes.seconds(row);
    out.seconds = median_of(seconds);
    out.of_roof = median_of(quotients(bound, seconds));
    out.memory = lower_bound(roof, out.cost).memory;
    return out;
}

}  // namespace

Estimate median_of(std::vector<double> v) {
    FP_CHECK(!v.empty(), "median: no values");
    std::ranges::sort(v);
    const size_t n = v.size();
    // The largest rank r (from 0) with P(Binomial(n, 1/2) <= r) <= 0.025; 0 where there is none.
    double below = 0, term = std::ldexp(1.0, -int(n));
    size_t rank = 0;
    for (size_t r = 0; r < n / 2; ++r) {
        below += term;
        if (below > 0.025) break;
        rank = r;
        term *= double(n - r) / double(r + 1);
    }
    return {(v[(n - 1) / 2] + v[n / 2]) / 2, v[rank], v[n - 1 - rank]};
}

TimedLayers time_layers(const std::vector<Network*>& networks,
                        const std::vector<std::string>& names,
                        const ProfileOptions& o,
                        const Steps& progress) {
    FP_CHECK(networks.size() == names.size() && !names.empty(), "time_layers: ", networks.size(), " networks");
    RoofProbe probe(networks[0]->kernels());
    std::vector<std::unique_ptr<ProfiledNetwork>> profiled;
    for (Network* net : networks) profiled.push_back(std::make_unique<ProfiledNetwork>(*net, o));
    std::vector<Passes> passes(networks.size());
    std::vector<Roofline> roofs;
    for (int pass = -1; pass < o.passes; ++pass) {
        const Roofline roof = probe.measure();
        for (size_t i = 0; i < profiled.size(); ++i) {
            profiled[i]->pass();  // brings back to the caches what the others drove out
            std::vector<LayerCost> rows = profiled[i]->pass();
            if (pass >= 0) passes[i].rows.push_back(std::move(rows));
        }
        if (pass >= 0) roofs.push_back(roof);
        if (progress && pass >= 0) progress(pass + 1, o.passes);
    }
    TimedLayers out{.roof = middle(roofs)};
    for (size_t i = 0; i < profiled.size(); ++i) {
        TimedTable& table = out.tables.emplace_back(TimedTable{.name = names[i], .rows = {}});
        const size_t rows = passes[i].rows.at(0).size();
        for (size_t r = 0; r < rows; ++r) {
            TimedRow row = row_of(passes[i], r, roofs, out.roof);
            if (rows == passes[0].rows[0].size())
                row.against_first = median_of(quotients(passes[i].seconds(r), passes[0].seconds(r)));
            table.rows.push_back(std::move(row));
        }
    }
    return out;
}

}  // namespace fp
