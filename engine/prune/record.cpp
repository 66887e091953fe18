#include "engine/prune/record.h"

#include "engine/prune/prune_json.h"

namespace fp {

Identity identity_of(const Baseline& dense, const PruneSettings& settings, const Caller& caller) {
    Identity out{.settings = caller.settings.empty() ? settings_by_name(settings) : caller.settings};
    out.settings.push_back({"the dense model", dense.hash});
    out.settings.push_back({"--device", std::string(dense.kernels().name)});
    out.add(identity_of(dense.data.set, dense.attributes));
    out.add(identity_of_threads());
    return out;
}

void record_caller(RunFolder& folder, const Caller& caller) { record_settings(folder, caller); }

}  // namespace fp
