// The embedded data set: a deterministic generator of lesion-like images whose unfairness is planted, so
// that a method's effect on it can be measured.
//
// What tells the class   the number of lobes of the lesion's outline (class mod 4), the pattern inside it
//                        (class / 4 mod 4: none, rings, spokes, dark rim) and its tint (class / 16).
// What tells the group   the tone of the skin and the grain of its texture. The lesion's contrast and the
//                        noise are the same on every skin, so no group is harder by itself.
// bias                   In train, a sample of the first half of the classes (two at least) belongs with
//                        probability `bias` to its class's own group, class mod groups, and is else dealt to the
//                        groups in turn, as every sample of the other classes is. So 0 makes group and class
//                        independent, and towards 1 the group tells half of the classes, among them those that
//                        only a lobe tells apart. In val and test class and group are always independent, and
//                        every class is equally frequent in every split.
// difficulty             Between 0 (lobes deep, lesion dark, little noise) and 1 (hardly visible).
// views                  Images of the same lesion: shape, class, group and split are the lesion's; place,
//                        turn, light and noise are the image's.
//
// Of every five lesions three are in train, one in val, one in test. Image i does not depend on n, so a
// larger set begins with the smaller one.
#pragma once

#include <cstdint>
#include <string>

namespace fp {

struct SynthSpec {
    int64_t n = 2000;
    int size = 64;
    int classes = 8;
    int groups = 2;
    double bias = 0.8;
    double difficulty = 0.2;
    int views = 1;
    uint64_t seed = 1;

    bool operator==(const SynthSpec&) const = default;
};

// "n=2000,size=64,...", every key optional. Exit::usage for an unknown key, a value that is no number or out
// of range: n 1..10^8, size 8..1024, classes 2..64, groups 1..8, bias and difficulty 0..1, views 1..1000.
SynthSpec parse_synth(const std::string& text);
std::string to_string(const SynthSpec&);

struct SynthIdentity {
    int64_t lesion;
    int label, group;
    int fifth;  // lesion mod 5: 0 2 4 train, 1 val, 3 test
};
SynthIdentity identify(const SynthSpec&, int64_t index);

// Image `index` as size * size * 3 bytes, row by row, red green blue: a function of spec and index alone.
void render(const SynthSpec&, int64_t index, uint8_t* rgb);

}  // namespace fp
