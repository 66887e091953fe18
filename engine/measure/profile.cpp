#include "engine/measure/profile.h"

#include <algorithm>

#include "engine/core/loss.h"
#include "engine/core/session.h"
#include "engine/measure/random_images.h"
#include "kernels/error.h"

namespace fp {

std::vector<LayerCost> profile(Network& net, const ProfileOptions& o) {
    const Kernels& k = net.kernels();
    const Map map{.n = o.batch_size, .c = 3, .h = o.image_size, .w = o.image_size, .block = k.image_block(3)};
    const Buffer images = random_images(k, map);
    const std::vector<int32_t> labels(size_t(o.batch_size), 0);
    Session session(net);
    const CrossEntropy entropy(k, net.spec.classes);
    std::vector<LayerCost> best;
    for (int pass = -2; pass < std::max(o.passes, 1); ++pass) {
        Tape tape = session.begin({.mode = o.mode, .profile = true});
        const Var y = net.forward(tape, tape.input({images.as<act>(), map}));
        if (o.mode == Mode::train) tape.backward({{cross_entropy(tape, y, labels, entropy).row}});
        tape.read_times();
        const std::vector<LayerCost> now = layer_costs(tape.nodes(), k.activation);
        if (pass <= 0) best = now;
        FP_CHECK(best.size() == now.size(), "profile: the network's rows change from pass to pass");
        for (size_t i = 0; i < best.size(); ++i) {
            best[i].forward_seconds = std::min(best[i].forward_seconds, now[i].forward_seconds);
            best[i].backward_seconds = std::min(best[i].backward_seconds, now[i].backward_seconds);
        }
    }
    return best;
}

}  // namespace fp
