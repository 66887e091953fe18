// wgmma for every width: each width has its own instruction, with a list of that many registers. Only hopper.cuh
// includes this.
#pragma once

// The output operands: kN / 2 registers, in groups of four.
#define FP_Q(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define FP_Q1 FP_Q(0)
#define FP_Q2 FP_Q1, FP_Q(4)
#define FP_Q3 FP_Q2, FP_Q(8)
#define FP_Q4 FP_Q3, FP_Q(12)
#define FP_Q5 FP_Q4, FP_Q(16)
#define FP_Q6 FP_Q5, FP_Q(20)
#define FP_Q7 FP_Q6, FP_Q(24)
#define FP_Q8 FP_Q7, FP_Q(28)
#define FP_Q9 FP_Q8, FP_Q(32)
#define FP_Q10 FP_Q9, FP_Q(36)
#define FP_Q11 FP_Q10, FP_Q(40)
#define FP_Q12 FP_Q11, FP_Q(44)
#define FP_Q13 FP_Q12, FP_Q(48)
#define FP_Q14 FP_Q13, FP_Q(52)
#define FP_Q15 FP_Q14, FP_Q(56)
#define FP_Q16 FP_Q15, FP_Q(60)
#define FP_Q17 FP_Q16, FP_Q(64)
#define FP_Q18 FP_Q17, FP_Q(68)
#define FP_Q19 FP_Q18, FP_Q(72)
#define FP_Q20 FP_Q19, FP_Q(76)
#define FP_Q21 FP_Q20, FP_Q(80)
#define FP_Q22 FP_Q21, FP_Q(84)
#define FP_Q23 FP_Q22, FP_Q(88)
#define FP_Q24 FP_Q23, FP_Q(92)
#define FP_Q25 FP_Q24, FP_Q(96)
#define FP_Q26 FP_Q25, FP_Q(100)
#define FP_Q27 FP_Q26, FP_Q(104)
#define FP_Q28 FP_Q27, FP_Q(108)
#define FP_Q29 FP_Q28, FP_Q(112)
#define FP_Q30 FP_Q29, FP_Q(116)
#define FP_Q31 FP_Q30, FP_Q(120)
#define FP_Q32 FP_Q31, FP_Q(124)

// Their names in the instruction text.
#define FP_S1 "%0,%1,%2,%3"
#define FP_S2 FP_S1 ",%4,%5,%6,%7"
#define FP_S3 FP_S2 ",%8,%9,%10,%11"
#define FP_S4 FP_S3 ",%12,%13,%14,%15"
#define FP_S5 FP_S4 ",%16,%17,%18,%19"
#define FP_S6 FP_S5 ",%20,%21,%22,%23"
#define FP_S7 FP_S6 ",%24,%25,%26,%27"
#define FP_S8 FP_S7 ",%28,%29,%30,%31"
#define FP_S9 FP_S8 ",%32,%33,%34,%35"
#define FP_S10 FP_S9 ",%36,%37,%38,%39"
#define FP_S11 FP_S10 ",%40,%41,%42,%43"
#define FP_S12 FP_S11 ",%44,%45,%46,%47"
#define FP_S13 FP_S12 ",%48,%49,%50,%51"
#define FP_S14 FP_S13 ",%52,%53,%54,%55"
#define FP_S15 FP_S14 ",%56,%57,%58,%59"
#define FP_S16 FP_S15 ",%60,%61,%62,%63"
#define FP_S17 FP_S16 ",%64,%65,%66,%67"
#define FP_S18 FP_S17 ",%68,%69,%70,%71"
#define FP_S19 FP_S18 ",%72,%73,%74,%75"
#define FP_S20 FP_S19 ",%76,%77,%78,%79"
#define FP_S21 FP_S20 ",%80,%81,%82,%83"
#define FP_S22 FP_S21 ",%84,%85,%86,%87"
#define FP_S23 FP_S22 ",%88,%89,%90,%91"
#define FP_S24 FP_S23 ",%92,%93,%94,%95"
#define FP_S25 FP_S24 ",%96,%97,%98,%99"
#define FP_S26 FP_S25 ",%100,%101,%102,%103"
#define FP_S27 FP_S26 ",%104,%105,%106,%107"
#define FP_S28 FP_S27 ",%108,%109,%110,%111"
#define FP_S29 FP_S28 ",%112,%113,%114,%115"
#define FP_S30 FP_S29 ",%116,%117,%118,%119"
#define FP_S31 FP_S30 ",%120,%121,%122,%123"
#define FP_S32 FP_S31 ",%124,%125,%126,%127"

#define FP_WGMMA(width, fours, at_a, at_b, p, turned_a, turned_b)                                      \
    if constexpr (kN == width)                                                                         \
    asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %" #p                                           \
                 ", 0;\n"                                                                              \
                 "wgmma.mma_async.sync.aligned.m64n" #width "k16.f32." FP_WGMMA_TYPES " {" FP_S##fours \
                 "}, %" #at_a ", %" #at_b ", add, 1, 1, %" #turned_a ", %" #turned_b ";\n}"            \
                 : FP_Q##fours                                                                         \
                 : "l"(a), "l"(b), "r"(int(accumulate)), "n"(int(kA)), "n"(int(kB)))

// One statement per width, of which `if constexpr` keeps one.
#define FP_WGMMA_OF_ANY_WIDTH                           \
    static_assert(kN % 8 == 0 && kN >= 8 && kN <= 256); \
    FP_WGMMA(8, 1, 4, 5, 6, 7, 8);                      \
    FP_WGMMA(16, 2, 8, 9, 10, 11, 12);                  \
    FP_WGMMA(24, 3, 12, 13, 14, 15, 16);                \
    FP_WGMMA(32, 4, 16, 17, 18, 19, 20);                \
    FP_WGMMA(40, 5, 20, 21, 22, 23, 24);                \
    FP_WGMMA(48, 6, 24, 25, 26, 27, 28);                \
    FP_WGMMA(56, 7, 28, 29, 30, 31, 32);                \
    FP_WGMMA(64, 8, 32, 33, 34, 35, 36);                \
    FP_WGMMA(72, 9, 36, 37, 38, 39, 40);                \
    FP_WGMMA(80, 10, 40, 41, 42, 43, 44);               \
    FP_WGMMA(88, 11, 44, 45, 46, 47, 48);               \
    FP_WGMMA(96, 12, 48, 49, 50, 51, 52);               \
    FP_WGMMA(104, 13, 52, 53, 54, 55, 56);              \
    FP_WGMMA(112, 14, 56, 57, 58, 59, 60);              \
    FP_WGMMA(120, 15, 60, 61, 62, 63, 64);              \
    FP_WGMMA(128, 16, 64, 65, 66, 67, 68);              \
    FP_WGMMA(136, 17, 68, 69, 70, 71, 72);              \
    FP_WGMMA(144, 18, 72, 73, 74, 75, 76);              \
    FP_WGMMA(152, 19, 76, 77, 78, 79, 80);              \
    FP_WGMMA(160, 20, 80, 81, 82, 83, 84);              \
    FP_WGMMA(168, 21, 84, 85, 86, 87, 88);              \
    FP_WGMMA(176, 22, 88, 89, 90, 91, 92);              \
    FP_WGMMA(184, 23, 92, 93, 94, 95, 96);              \
    FP_WGMMA(192, 24, 96, 97, 98, 99, 100);             \
    FP_WGMMA(200, 25, 100, 101, 102, 103, 104);         \
    FP_WGMMA(208, 26, 104, 105, 106, 107, 108);         \
    FP_WGMMA(216, 27, 108, 109, 110, 111, 112);         \
    FP_WGMMA(224, 28, 112, 113, 114, 115, 116);         \
    FP_WGMMA(232, 29, 116, 117, 118, 119, 120);         \
    FP_WGMMA(240, 30, 120, 121, 122, 123, 124);         \
    FP_WGMMA(248, 31, 124, 125, 126, 127, 128);         \
    FP_WGMMA(256, 32, 128, 129, 130, 131, 132)

namespace fp::cuda {

#define FP_WGMMA_TYPES "bf16.bf16"
template <int kN, Operand kA, Operand kB>
__device__ void wgmma_bf16(float (&d)[kN / 2], uint64_t a, uint64_t b, bool accumulate) {
    FP_WGMMA_OF_ANY_WIDTH;
}
#undef FP_WGMMA_TYPES
#define FP_WGMMA_TYPES "f16.f16"
template <int kN, Operand kA, Operand kB>
__device__ void wgmma_f16(float (&d)[kN / 2], uint64_t a, uint64_t b, bool accumulate) {
    FP_WGMMA_OF_ANY_WIDTH;
}
#undef FP_WGMMA_TYPES

}  // namespace fp::cuda
