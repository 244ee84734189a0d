// What takes most of the time of a MACE model on a CPU, forwards and backwards: the sum over neighbours of a tensor product, and the
// symmetric products of each atom. ionmelt/dynamics/engines/compiled.py fills the structures from a model and calls what is exported
// here; all other layers stay PyTorch's. containers/environment and the image compile this file, where there is a compiler.
//
// A feature is a row of as many numbers as there are channels, so that each innermost loop runs over the channels. PyTorch's layers want
// the components of a channel side by side instead: "blocks" of a row's first place and a dimension say how to go from one to the other.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <thread>
#include <vector>

namespace {

constexpr int MAX_DEGREE = 12;  // of the spherical harmonics

// Call work(begin, end) for parts of a range, on some threads. Whatever their number, each place is computed by the same operations.
template <class Work>
void share(int64_t count, int threads, const Work &work) {
    if (threads <= 1 || count < 2 * threads) {
        work(int64_t(0), count);
        return;
    }
    std::vector<std::thread> others;
    for (int t = 1; t < threads; ++t) others.emplace_back(work, count * t / threads, count * (t + 1) / threads);
    work(int64_t(0), count / threads);
    for (auto &other : others) other.join();
}

struct Blocks {
    int32_t count;
    const int32_t *first;  // row of each
    const int32_t *size;   // rows of each
};

// Components of a channel side by side, to rows of channels.
void to_rows(const Blocks &blocks, int channels, const float *from, float *to) {
    for (int b = 0; b < blocks.count; ++b) {
        const int first = blocks.first[b], size = blocks.size[b];
        const float *block = from + int64_t(first) * channels;
        for (int m = 0; m < size; ++m)
            for (int c = 0; c < channels; ++c) to[int64_t(first + m) * channels + c] = block[c * size + m];
    }
}

void from_rows(const Blocks &blocks, int channels, const float *from, float *to) {
    for (int b = 0; b < blocks.count; ++b) {
        const int first = blocks.first[b], size = blocks.size[b];
        float *block = to + int64_t(first) * channels;
        for (int m = 0; m < size; ++m)
            for (int c = 0; c < channels; ++c) block[c * size + m] = from[int64_t(first + m) * channels + c];
    }
}

}  // namespace

extern "C" {

// A sum over neighbours: out(m3) += w(path) sum over m1, m2 of C(m1, m2, m3) x(m1) Y(m2), channel by channel.
struct Convolution {
    int32_t channels, degree, harmonics, paths, intervals, couplings;
    float step;  // A; the weights of all paths are a cubic in each interval of the distance
    int32_t terms;                // of the harmonics as polynomials of the direction
    const int32_t *term_harmonic; // (terms)
    const int32_t *term_powers;   // (terms, 3)
    const float *term_factor;     // (terms)
    const int32_t *path;          // (paths, 5): first row of x, its rows, first row of out, its rows, first place in the couplings
    const uint8_t *is_coupled;    // (places): m1 and m3 of a path, those of m3 side by side
    const int32_t *coupling_place, *coupling_harmonic;  // (couplings)
    const float *coupling_factor;                       // (couplings)
    const float *table;           // (intervals, 4, paths, channels): factors of the third, second, first power, and the constant
    int32_t places, x_rows, out_rows;
    Blocks x_blocks, out_blocks;
};

// Symmetric products of the rows x of an atom: out(row) += factor(element, term, channel) x(i) x(j) ...
struct Products {
    int32_t channels, x_rows, out_rows, monomials, terms;
    const int32_t *monomial;    // (monomials, 4): rows of x, ascending; -1 in front where there are fewer
    const int32_t *first_term;  // (monomials + 1)
    const int32_t *term_row;    // (terms): of out
    const float *factor;        // (elements, terms, channels)
    Blocks out_blocks;
};
}

namespace {

struct Edge {
    float r, n[3];
    explicit Edge(const float *v) {
        r = std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
        for (int a = 0; a < 3; ++a) n[a] = v[a] / r;
    }
};

// What a thread needs for one edge.
struct Scratch {
    std::vector<float> y, dy, k, gk, w, dw, u, t, gw, rows;
    Scratch(const Convolution &s, int rows_) :
        y(s.harmonics), dy(3 * s.harmonics), k(s.places), gk(s.places), w(int64_t(s.paths) * s.channels), dw(int64_t(s.paths) * s.channels),
        u(s.channels), t(s.channels), gw(s.channels), rows(int64_t(rows_) * s.channels) {}
};

void harmonics(const Convolution &s, const Edge &edge, float *y, float *dy) {
    float p[3][MAX_DEGREE + 1];
    for (int a = 0; a < 3; ++a) {
        p[a][0] = 1;
        for (int d = 1; d <= s.degree; ++d) p[a][d] = p[a][d - 1] * edge.n[a];
    }
    std::fill(y, y + s.harmonics, 0.0f);
    if (dy) std::fill(dy, dy + 3 * s.harmonics, 0.0f);
    for (int i = 0; i < s.terms; ++i) {
        const int32_t *q = s.term_powers + 3 * i;
        const int lm = s.term_harmonic[i];
        const float f = s.term_factor[i], x = p[0][q[0]], yy = p[1][q[1]], z = p[2][q[2]];
        y[lm] += f * x * yy * z;
        if (!dy) continue;
        if (q[0]) dy[3 * lm] += f * q[0] * p[0][q[0] - 1] * yy * z;
        if (q[1]) dy[3 * lm + 1] += f * q[1] * x * p[1][q[1] - 1] * z;
        if (q[2]) dy[3 * lm + 2] += f * q[2] * x * yy * p[2][q[2] - 1];
    }
}

void couple(const Convolution &s, const float *y, float *k) {
    std::fill(k, k + s.places, 0.0f);
    for (int i = 0; i < s.couplings; ++i) k[s.coupling_place[i]] += s.coupling_factor[i] * y[s.coupling_harmonic[i]];
}

// The weights of all paths at a distance and, where dw is given, their derivatives.
void radial(const Convolution &s, float r, float *w, float *dw) {
    const int interval = std::min(int(r / s.step), s.intervals - 1);
    const float t = r - interval * s.step;
    const int64_t size = int64_t(s.paths) * s.channels;
    const float *c3 = s.table + interval * 4 * size, *c2 = c3 + size, *c1 = c2 + size, *c0 = c1 + size;
    if (dw) {
#pragma GCC ivdep
        for (int64_t i = 0; i < size; ++i) {
            w[i] = ((c3[i] * t + c2[i]) * t + c1[i]) * t + c0[i];
            dw[i] = (3 * c3[i] * t + 2 * c2[i]) * t + c1[i];
        }
    } else {
#pragma GCC ivdep
        for (int64_t i = 0; i < size; ++i) w[i] = ((c3[i] * t + c2[i]) * t + c1[i]) * t + c0[i];
    }
}

template <int FIXED>
void sum_over_neighbours(const Convolution &s, const int64_t *first, const int64_t *senders, const float *vectors, const float *x_rows,
                         float *out, int64_t begin, int64_t end) {
    const int C = FIXED ? FIXED : s.channels;
    Scratch z(s, s.out_rows);
    float *u = z.u.data();
    for (int64_t atom = begin; atom < end; ++atom) {
        std::fill(z.rows.begin(), z.rows.end(), 0.0f);
        for (int64_t e = first[atom]; e < first[atom + 1]; ++e) {
            const Edge edge(vectors + 3 * e);
            harmonics(s, edge, z.y.data(), nullptr);
            couple(s, z.y.data(), z.k.data());
            radial(s, edge.r, z.w.data(), nullptr);
            const float *x = x_rows + senders[e] * int64_t(s.x_rows) * C;
            for (int p = 0; p < s.paths; ++p) {
                const int32_t *path = s.path + 5 * p;
                const float *w = z.w.data() + int64_t(p) * C;
                for (int m1 = 0; m1 < path[1]; ++m1) {
                    const float *xm = x + int64_t(path[0] + m1) * C;
#pragma GCC ivdep
                    for (int c = 0; c < C; ++c) u[c] = w[c] * xm[c];
                    for (int m3 = 0; m3 < path[3]; ++m3) {
                        const int place = path[4] + m1 * path[3] + m3;
                        if (!s.is_coupled[place]) continue;
                        const float k = z.k[place];
                        float *sum = z.rows.data() + int64_t(path[2] + m3) * C;
#pragma GCC ivdep
                        for (int c = 0; c < C; ++c) sum[c] += k * u[c];
                    }
                }
            }
        }
        from_rows(s.out_blocks, C, z.rows.data(), out + atom * int64_t(s.out_rows) * C);
    }
}

template <int FIXED>
void back_over_neighbours(const Convolution &s, const int64_t *first, const int64_t *edges, const int64_t *receivers, const float *vectors,
                          const float *x_rows, const float *g_rows, float *gx, float *g_vectors, int64_t begin, int64_t end) {
    const int C = FIXED ? FIXED : s.channels;
    Scratch z(s, s.x_rows);
    float *u = z.u.data(), *t = z.t.data(), *gw = z.gw.data();
    std::vector<float> gy(s.harmonics);
    for (int64_t atom = begin; atom < end; ++atom) {
        std::fill(z.rows.begin(), z.rows.end(), 0.0f);
        const float *x = x_rows + atom * int64_t(s.x_rows) * C;
        for (int64_t i = first[atom]; i < first[atom + 1]; ++i) {
            const int64_t e = edges[i];
            const Edge edge(vectors + 3 * e);
            harmonics(s, edge, z.y.data(), z.dy.data());
            couple(s, z.y.data(), z.k.data());
            radial(s, edge.r, z.w.data(), z.dw.data());
            const float *g = g_rows + receivers[e] * int64_t(s.out_rows) * C;
            float g_r = 0;
            for (int p = 0; p < s.paths; ++p) {
                const int32_t *path = s.path + 5 * p;
                const float *w = z.w.data() + int64_t(p) * C, *dw = z.dw.data() + int64_t(p) * C;
                for (int c = 0; c < C; ++c) gw[c] = 0;
                for (int m1 = 0; m1 < path[1]; ++m1) {
                    const float *xm = x + int64_t(path[0] + m1) * C;
                    float *gxm = z.rows.data() + int64_t(path[0] + m1) * C;
#pragma GCC ivdep
                    for (int c = 0; c < C; ++c) {
                        u[c] = w[c] * xm[c];
                        t[c] = 0;
                    }
                    for (int m3 = 0; m3 < path[3]; ++m3) {
                        const int place = path[4] + m1 * path[3] + m3;
                        if (!s.is_coupled[place]) continue;
                        const float k = z.k[place];
                        const float *gm = g + int64_t(path[2] + m3) * C;
                        float dot = 0;
#pragma GCC ivdep
                        for (int c = 0; c < C; ++c) {
                            t[c] += k * gm[c];
                            dot += u[c] * gm[c];
                        }
                        z.gk[place] = dot;
                    }
#pragma GCC ivdep
                    for (int c = 0; c < C; ++c) {
                        gxm[c] += w[c] * t[c];
                        gw[c] += xm[c] * t[c];
                    }
                }
                float along = 0;
                for (int c = 0; c < C; ++c) along += gw[c] * dw[c];
                g_r += along;
            }
            std::fill(gy.begin(), gy.end(), 0.0f);
            for (int c = 0; c < s.couplings; ++c) gy[s.coupling_harmonic[c]] += s.coupling_factor[c] * z.gk[s.coupling_place[c]];
            float gn[3] = {0, 0, 0};
            for (int lm = 0; lm < s.harmonics; ++lm)
                for (int a = 0; a < 3; ++a) gn[a] += gy[lm] * z.dy[3 * lm + a];
            const float along = gn[0] * edge.n[0] + gn[1] * edge.n[1] + gn[2] * edge.n[2];
            for (int a = 0; a < 3; ++a) g_vectors[3 * e + a] = g_r * edge.n[a] + (gn[a] - along * edge.n[a]) / edge.r;
        }
        from_rows(s.x_blocks, C, z.rows.data(), gx + atom * int64_t(s.x_rows) * C);
    }
}

// The rows of an atom, whose channels each have all their components side by side.
Blocks one_block(const Products &s) {
    static const int32_t first = 0;
    return {1, &first, &s.x_rows};
}

template <int FIXED>
void multiply(const Products &s, const int32_t *elements, const float *x_in, float *out, int64_t begin, int64_t end) {
    const int C = FIXED ? FIXED : s.channels;
    std::vector<float> x(int64_t(s.x_rows) * C), sums(int64_t(s.out_rows) * C), product(C);
    float *p = product.data();
    for (int64_t atom = begin; atom < end; ++atom) {
        to_rows(one_block(s), C, x_in + atom * int64_t(s.x_rows) * C, x.data());
        std::fill(sums.begin(), sums.end(), 0.0f);
        const float *factor = s.factor + elements[atom] * int64_t(s.terms) * C;
        for (int i = 0; i < s.monomials; ++i) {
            const int32_t *m = s.monomial + 4 * i;
            const float *d = x.data() + int64_t(m[3]) * C;
            if (m[2] < 0) {
                for (int c = 0; c < C; ++c) p[c] = d[c];
            } else {
                const float *e = x.data() + int64_t(m[2]) * C;
#pragma GCC ivdep
                for (int c = 0; c < C; ++c) p[c] = d[c] * e[c];
                for (int n = 1; n >= 0 && m[n] >= 0; --n) {
                    const float *f = x.data() + int64_t(m[n]) * C;
#pragma GCC ivdep
                    for (int c = 0; c < C; ++c) p[c] *= f[c];
                }
            }
            for (int term = s.first_term[i]; term < s.first_term[i + 1]; ++term) {
                const float *f = factor + int64_t(term) * C;
                float *sum = sums.data() + int64_t(s.term_row[term]) * C;
#pragma GCC ivdep
                for (int c = 0; c < C; ++c) sum[c] += f[c] * p[c];
            }
        }
        from_rows(s.out_blocks, C, sums.data(), out + atom * int64_t(s.out_rows) * C);
    }
}

template <int FIXED>
void back_multiply(const Products &s, const int32_t *elements, const float *x_in, const float *g_out, float *gx_out, int64_t begin,
                   int64_t end) {
    const int C = FIXED ? FIXED : s.channels;
    std::vector<float> x(int64_t(s.x_rows) * C), gx(int64_t(s.x_rows) * C), g(int64_t(s.out_rows) * C), sum(C), rest(C);
    float *p = sum.data(), *q = rest.data();
    for (int64_t atom = begin; atom < end; ++atom) {
        to_rows(one_block(s), C, x_in + atom * int64_t(s.x_rows) * C, x.data());
        to_rows(s.out_blocks, C, g_out + atom * int64_t(s.out_rows) * C, g.data());
        std::fill(gx.begin(), gx.end(), 0.0f);
        const float *factor = s.factor + elements[atom] * int64_t(s.terms) * C;
        for (int i = 0; i < s.monomials; ++i) {
            const int32_t *m = s.monomial + 4 * i;
            for (int c = 0; c < C; ++c) p[c] = 0;
            for (int term = s.first_term[i]; term < s.first_term[i + 1]; ++term) {
                const float *f = factor + int64_t(term) * C, *gr = g.data() + int64_t(s.term_row[term]) * C;
#pragma GCC ivdep
                for (int c = 0; c < C; ++c) p[c] += f[c] * gr[c];
            }
            for (int n = 3; n >= 0 && m[n] >= 0; --n) {  // the derivative by each factor is the product of the others
#pragma GCC ivdep
                for (int c = 0; c < C; ++c) q[c] = p[c];
                for (int o = 3; o >= 0 && m[o] >= 0; --o) {
                    if (o == n) continue;
                    const float *f = x.data() + int64_t(m[o]) * C;
#pragma GCC ivdep
                    for (int c = 0; c < C; ++c) q[c] *= f[c];
                }
                float *gr = gx.data() + int64_t(m[n]) * C;
#pragma GCC ivdep
                for (int c = 0; c < C; ++c) gr[c] += q[c];
            }
        }
        from_rows(one_block(s), C, gx.data(), gx_out + atom * int64_t(s.x_rows) * C);
    }
}

std::vector<float> all_rows(const Blocks &blocks, int channels, int rows, int64_t atoms, const float *from) {
    std::vector<float> made(atoms * rows * channels);
    for (int64_t atom = 0; atom < atoms; ++atom) {
        const int64_t first = atom * int64_t(rows) * channels;
        to_rows(blocks, channels, from + first, made.data() + first);
    }
    return made;
}

}  // namespace

// Numbers of channels that are known when this is compiled are faster; any other works.
#define FOR_CHANNELS(FUNCTION, ...)               \
    switch (s->channels) {                        \
        case 8: return FUNCTION<8>(__VA_ARGS__);   \
        case 16: return FUNCTION<16>(__VA_ARGS__); \
        case 32: return FUNCTION<32>(__VA_ARGS__); \
        case 64: return FUNCTION<64>(__VA_ARGS__); \
        case 96: return FUNCTION<96>(__VA_ARGS__); \
        case 128: return FUNCTION<128>(__VA_ARGS__); \
        case 256: return FUNCTION<256>(__VA_ARGS__); \
        default: return FUNCTION<0>(__VA_ARGS__);  \
    }

extern "C" {

int32_t ionmelt_kernels_version() { return 1; }

// first (atoms + 1): the edges of each receiver, one after another. x (atoms, x_rows channels), out (atoms, out_rows channels).
void ionmelt_convolve(const Convolution *s, int64_t atoms, const int64_t *first, const int64_t *senders, const float *vectors,
                      const float *x, float *out, int32_t threads) {
    const std::vector<float> x_rows = all_rows(s->x_blocks, s->channels, s->x_rows, atoms, x);
    share(atoms, threads, [=, &x_rows](int64_t begin, int64_t end) {
        FOR_CHANNELS(sum_over_neighbours, *s, first, senders, vectors, x_rows.data(), out, begin, end)
    });
}

// first (atoms + 1): the edges of each sender, as places in `edges`.
void ionmelt_convolve_back(const Convolution *s, int64_t atoms, const int64_t *first, const int64_t *edges, const int64_t *receivers,
                           const float *vectors, const float *x, const float *g, float *gx, float *g_vectors, int32_t threads) {
    const std::vector<float> x_rows = all_rows(s->x_blocks, s->channels, s->x_rows, atoms, x);
    const std::vector<float> g_rows = all_rows(s->out_blocks, s->channels, s->out_rows, atoms, g);
    share(atoms, threads, [=, &x_rows, &g_rows](int64_t begin, int64_t end) {
        FOR_CHANNELS(back_over_neighbours, *s, first, edges, receivers, vectors, x_rows.data(), g_rows.data(), gx, g_vectors, begin, end)
    });
}

// x (atoms, channels, x_rows), out (atoms, out_rows channels)
void ionmelt_multiply(const Products *s, int64_t atoms, const int32_t *elements, const float *x, float *out, int32_t threads) {
    share(atoms, threads, [=](int64_t begin, int64_t end) { FOR_CHANNELS(multiply, *s, elements, x, out, begin, end) });
}

void ionmelt_multiply_back(const Products *s, int64_t atoms, const int32_t *elements, const float *x, const float *g, float *gx,
                           int32_t threads) {
    share(atoms, threads, [=](int64_t begin, int64_t end) { FOR_CHANNELS(back_multiply, *s, elements, x, g, gx, begin, end) });
}
}
