// The control: what the other files of this folder change one thing of. Compiles.
#include "kernels/kernels.h"

namespace fp {

void call(const Kernels& k, const Map& map, const act* dy, act* dx) {
    k.add.accumulate(map, {.dy = dy, .dx = dx, .write = Write::replace}, {});
}

void forward(const Map&, const Relu::Forward&, Stream);
void backward(const Map&, const Relu::Backward&, Stream);
extern const Relu relu{.forward = forward, .backward = backward};

}  // namespace fp
