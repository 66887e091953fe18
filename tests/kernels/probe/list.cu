// All probes, in the order of a first contact: what everything stands on first.
#include "tests/kernels/probe/probe.cuh"

namespace fp::FP_MACHINE {

const std::vector<Probe>& probes() {
    static const std::vector<Probe> all = [] {
        std::vector<Probe> list;
        add_lane_probes(list);
        add_arithmetic_probes(list);
        add_copy_probes(list);
        add_matrix_probes(list);
        add_mbarrier_probes(list);
        add_tensor_copy_probes(list);
        add_warpgroup_probes(list);
        add_column_probes(list);
        add_cluster_probes(list);
        add_early_probes(list);
        return list;
    }();
    return all;
}

}  // namespace fp::FP_MACHINE
