"""The kernels compile for real GPUs, and stay within their registers."""

import re
from pathlib import Path

import pytest

from snncore.kernels.cuda.module import FILES, FOLDER, OPTIONS, source
from tests.support import nvrtc

GUIDE = Path(__file__).parents[4] / "docs" / "gpu_tables.md"
MOST_REGISTERS = 64  # so that a multiprocessor holds four blocks of 256 threads
TENSOR_REGISTERS = 255  # 128 of them are sums; two blocks of 128 threads
TENSOR_FILES = ("exact_gradient", "exact_mma")
HALVES_REGISTERS = 128  # 64 of them are sums; four blocks of 128 threads
BLACKWELL = 100

pytestmark = pytest.mark.skipif(nvrtc.version() is None, reason=nvrtc.INSTALL)


@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
@pytest.mark.parametrize("file", FILES)
def test_no_kernel_spills_or_takes_too_many_registers(file, architecture):
    check(file, architecture)


@pytest.mark.parametrize("file", [*TENSOR_FILES, "halves"])
def test_the_longer_code_of_blackwell_does_not_spill(file):
    if BLACKWELL not in nvrtc.known():
        pytest.skip(f"the compiler does not know sm_{BLACKWELL}")
    check(file, BLACKWELL)


def check(file, architecture):
    found = nvrtc.measured(file, architecture)
    assert len(found) == source(file).count("__global__")
    most = TENSOR_REGISTERS if file in TENSOR_FILES else MOST_REGISTERS
    for name, usage in found.items():
        limit = HALVES_REGISTERS if name == "halves_backward_input" else most
        assert 0 < usage.registers <= limit, name
        assert usage.spilled == 0, name
        assert usage.shared <= 48 * 1024, name


@pytest.mark.parametrize("file", FILES)
def test_nothing_that_decides_a_spike_is_fused(file):
    ptx = nvrtc.to_ptx(source(file), 90)
    for name, body in nvrtc.bodies(ptx).items():
        fused = body.count("fma.rn.f32")
        if "backward" not in name:  # there, the exponential function of the surrogate is made of them
            assert fused == 0, name
            assert ".approx" not in body, name
            assert ".ftz" not in body, name  # small numbers are not zeros
        assert ".approx" not in body.replace("ex2.approx", "").replace("rcp.approx", "").replace("div.approx", ""), name
    assert "atom.global.add.f32" not in ptx  # sums of floats in no order
    assert "red.global.add.f32" not in ptx


@pytest.mark.parametrize(("architecture", "shape"), [(75, "m8n8k16"), (80, "m16n8k32"), (90, "m16n8k32")])
def test_products_of_bytes_run_on_tensor_cores(architecture, shape):
    bodies = {k: v for file in TENSOR_FILES for k, v in nvrtc.bodies(nvrtc.to_ptx(source(file), architecture)).items()}
    for name, body in bodies.items():
        if not name.endswith(("_bytes", "_pieces")):
            assert "mma" not in body, name
            continue
        found = set(re.findall(r"mma\.sync\.aligned\.(\w+)\.row\.col\.s32\.(u8\.s8)\.s32", body))
        assert found == {(shape, "u8.s8")}, name
        assert ("cp.async.ca" in body) == (architecture >= 80), name
        turned = body.count("ldmatrix.sync.aligned.m8n8.x4.trans")
        assert turned == (8 if "gradient" in name else 0), name  # of 64 places and 64 channels: 32 x 16 in one
        assert body.count("prmt.b32") >= 4 * turned, name  # an instruction a register


@pytest.mark.parametrize(("architecture", "deep"), [(75, 8), (80, 16), (90, 16)])
def test_input_gradients_run_on_tensor_cores(architecture, deep):
    bodies = nvrtc.bodies(nvrtc.to_ptx(source("halves"), architecture))
    body = bodies["halves_backward_input"]
    products = re.findall(r"mma\.sync\.aligned\.(\S+)", body)
    assert set(products) == {f"m16n8k{deep}.row.col.f32.f16.f16.f32"}
    assert len(products) == 48 * 16 // deep  # of 16 channels: 2 x 8 tiles, three each
    assert body.count("ldmatrix.sync.aligned.m8n8.x4.shared.b16") == 12  # four of pixels, eight of channels
    assert body.count("fma.rn.f32") == 64  # every sum times a power of two
    assert ("cp.async.ca.shared.global" in body) == (architecture >= 80)
    assert "f16" not in "".join(re.findall(r"cvt\.\S+", body))  # nothing is split any more
    assert bodies["halves_split"].count("cvt.rn.f16.f32") >= 18  # both parts of eight numbers of gy, and of one of w


@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
def test_fewer_blocks_of_input_gradients_have_more_registers(architecture):
    found = nvrtc.usage(nvrtc.to_ptx(source("halves", "#define BLOCKS 3\n"), architecture), architecture)
    assert found["halves_backward_input"].spilled == 0
    assert 128 < found["halves_backward_input"].registers <= 168


def test_fused_operations_are_seen():
    text = 'extern "C" __global__ void f(float* x) { x[0] = fmaf(x[1], x[2], x[3]); }'
    assert nvrtc.bodies(nvrtc.to_ptx(text, 90))["f"].count("fma.rn.f32") == 1


def test_spills_are_seen():
    text = """extern "C" __global__ void __launch_bounds__(1024, 2) f(const float* x, float* y) {
        float v[64];
        for (int i = 0; i < 64; ++i) v[i] = x[i * 1024 + threadIdx.x];
        __syncthreads();
        for (int i = 0; i < 64; ++i) {
            float s = 0;
            for (int j = 0; j < 64; ++j) s += v[j] * v[(i + j) % 64];
            y[i] = s;
        }
    }"""
    assert nvrtc.usage(nvrtc.to_ptx(text, 80), 80)["f"].spilled > 0


def test_an_error_shows_the_line():
    with pytest.raises(RuntimeError, match=r"kernels\.cu\(1\): error: .*nothing"):
        nvrtc.to_ptx('extern "C" __global__ void f(float* x) { x[0] = nothing; }', 90)


def skip_unless_measured_with_this_version():
    if f"NVRTC {nvrtc.version()}, options {' '.join(OPTIONS)}" not in GUIDE.read_text():
        pytest.skip(
            f"docs/gpu_tables.md is of another version of the compiler than {nvrtc.version()}, which counts differently"
        )


def test_the_table_in_the_guide_is_the_one_that_is_measured():
    skip_unless_measured_with_this_version()
    assert nvrtc.table() in GUIDE.read_text()


@pytest.mark.parametrize("file", FILES)
def test_the_head_of_each_file_is_what_is_measured(file):
    skip_unless_measured_with_this_version()
    assert nvrtc.head(file) in (FOLDER / f"{file}.cu").read_text()


def test_occupancy_by_hand():
    usage = nvrtc.Usage(40, 0, 0)
    assert nvrtc.occupancy("lif_backward", usage) == 0.75  # 6 blocks of 8 warps: 61440 of 65536 registers
    assert nvrtc.occupancy("conv_events_weight", nvrtc.Usage(58, 0, 32768)) == 6 * 2 / 64  # 6 tiles of 33 KiB
