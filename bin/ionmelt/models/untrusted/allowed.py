"""Lists of what models need: operators, classes, values. What a file of weights names besides is refused."""


def words(text: str) -> set[str]:
    """Return the words of a text."""
    return set(text.split())


# --- Operators -----------------------------------------------------------------------------------------

# Operators of torch that compute with tensors and numbers: as functions (torch.add), as methods (x.add), in source of either kind.
# None reads or writes a file, takes the name of one, or calls what it is given.
OPERATORS = words(
    """
    abs acos acosh add addcdiv addcmul addmm all amax amin aminmax any arange argmax argmin argsort asin asinh atan atan2 atanh
    atleast_1d atleast_2d baddbmm bernoulli bincount bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift
    bitwise_xor bmm bool broadcast_tensors broadcast_to bucketize cat cdist ceil celu chunk clamp clamp_max clamp_min clip clone
    concat contiguous copysign cos cosh count_nonzero cpu cross cummax cumprod cumsum deg2rad det detach diag diag_embed diagonal
    diff dim div divide dot double dropout dsplit einsum elu embedding empty empty_like eq equal erf erfc exp exp2 expand expand_as
    expm1 eye flatten flip float floor floor_divide fmax fmin fmod frac full full_like gather ge gelu glu gt half hardswish
    hardtanh heaviside hsplit hstack hypot index index_add index_copy index_fill index_put index_select int inverse is_complex
    is_contiguous is_floating_point isclose isfinite isinf isnan item kron l1_loss layer_norm le leaky_relu lerp less lgamma
    linalg_cross linalg_det linalg_eigh linalg_inv linalg_inv_ex linalg_matrix_norm linalg_norm linalg_solve linalg_vector_norm
    linear linspace log log10 log1p log2 log_sigmoid log_softmax logaddexp logical_and logical_not logical_or logical_xor logit
    logsumexp long lt masked_fill masked_scatter masked_select matmul max maximum mean median min minimum mish mm movedim mse_loss
    mul multinomial multiply mv nan_to_num narrow native_layer_norm ne neg negative new_empty new_full new_ones new_zeros nonzero
    norm normal normalize numel numpy_T one_hot ones ones_like outer pad permute polar pow prelu prod rad2deg rand rand_like randn
    randn_like randperm ravel reciprocal relu relu6 remainder repeat repeat_interleave requires_grad_ reshape reshape_as rms_norm
    roll round rsqrt rsub scatter scatter_add scatter_reduce searchsorted select select_scatter selu sgn sigmoid sign silu sin
    sinc sinh size slice slice_scatter softmax softmin softplus softsign sort special_erf special_expit special_i0 special_log1p
    split split_with_sizes sqrt square squeeze stack std std_mean sub subtract sum swapaxes swapdims t take take_along_dim tan
    tanh tensor tensor_split tensordot threshold tile to topk trace transpose tril triu true_divide trunc type_as unbind unflatten
    unfold unique unique_consecutive unique_dim unsqueeze unsqueeze_ var var_mean vdot view view_as vstack where xlogy zeros
    zeros_like
    """
)
# The same, done in place.
OPERATORS |= {
    f"{name}_"
    for name in words(
        """abs add addcdiv addcmul baddbmm ceil clamp clamp_max clamp_min clip copy cos detach div elu exp fill floor
    gelu hardtanh index_add index_copy index_fill index_put leaky_relu log masked_fill masked_scatter mul neg normal pow
    reciprocal relu relu6 round rsqrt scatter scatter_add sigmoid sign silu sin sqrt square squeeze sub tanh transpose
    uniform unsqueeze zero"""
    )
}
# What TorchScript writes besides: numbers, lists, texts, gradients.
SCRIPT = words(
    """
    __and__ __contains__ __derive_index __getitem__ __is__ __isnot__ __not__ __or__ __range_length __xor__ _set_item append
    autograd autograd.grad clear copy device dict endswith extend find floordiv format get grad index insert is_grad_enabled items
    join keys len list lower pop remove replace reverse set_grad_enabled setdefault sorted startswith strip update upper values
    warn Int Float Bool ScalarImplicit FloatImplicit IntImplicit IntTensor mathremainder sym_size sym_numel sym_stride stride
    storage_offset is_nonzero __round_to_zero_floordiv ceil.Scalar
    """
)
PRIM = words(
    "RaiseException device dtype layout requires_grad max min abs NumToTensor shape data is_cuda is_cpu name type"
)
DEEPMD = {"border_op"} | {
    f"tabulate_fusion_{name}" for name in ("se_a", "se_atten", "se_r", "se_t", "se_t_tebd", "se_a_grad", "se_t_grad")
}
# What else a tensor or a module is asked for in traced source.
PROPERTIES = {"T", "device", "dtype", "layout", "mT", "ndim", "requires_grad", "shape"}
DTYPES = words(
    "bfloat16 bool complex128 complex64 float float16 float32 float64 half double int int16 int32 int64 int8 long uint8"
)


# --- Pickles -------------------------------------------------------------------------------------------

# Modules whose classes may be made, empty, and given their state.
CLASSES = {
    *(f"mace.modules.{name}" for name in (
        "blocks", "embeddings", "extensions", "field_blocks", "gate", "irreps_tools", "lora", "models", "radial",
        "symmetric_contraction", "wrapper_ops",
    )),
    *(f"e3nn.nn._{name}" for name in ("activation", "batchnorm", "dropout", "extract", "fc", "gate", "identity", "normact")),
    *(f"e3nn.o3._{name}" for name in ("angular_spherical_harmonics", "linear", "norm", "spherical_harmonics")),
    *(f"e3nn.o3._tensor_product._{name}" for name in ("sub", "tensor_product")),
    "e3nn.math._normalize_activation",
    # MACE-POLAR's: modules of PyTorch that hold numbers and compute sums of charges; none has a __setstate__, opens a file or runs a text
    *(f"graph_longrange.{name}" for name in ("energy", "features", "gto_utils", "realspace_electrostatics", "slabs")),
    *(f"torch.nn.modules.{name}" for name in ("activation", "container", "dropout", "linear", "normalization", "sparse")),
}  # fmt: skip
# Tuples by a name of their own: made of what they hold.
TUPLES = {
    "e3nn.o3._irreps.Irrep", "e3nn.o3._irreps.Irreps", "e3nn.o3._irreps._MulIr", "e3nn.o3._linear.Instruction",
    "e3nn.o3._tensor_product._instruction.Instruction", "torch.Size",
}  # fmt: skip
# What may stand as a value: functions that modules apply to tensors, kinds of numbers.
VALUES = {
    *(f"torch.nn.functional.{name}" for name in (
        "elu", "gelu", "leaky_relu", "mish", "relu", "selu", "sigmoid", "silu", "softplus", "tanh",
    )),
    *(f"torch.{name}" for name in ("abs", "cos", "exp", "relu", "sigmoid", "sin", "tanh")),
    "torch.fx._symbolic_trace.Tracer",
    "torch.Tensor",
    "torch.nn.parameter.Parameter",
    "torch.storage.UntypedStorage",
    "numpy.ndarray",
    *(f"torch.{name}" for name in DTYPES),
    *(f"torch.{name}Storage" for name in (
        "BFloat16", "Bool", "Byte", "Char", "ComplexDouble", "ComplexFloat", "Double", "Float", "Half", "Int", "Long", "Short",
    )),
}  # fmt: skip
SCRIPT_GLOBALS = {
    "collections OrderedDict",
    "torch device",
    "torch._utils _rebuild_tensor_v2",
    *(f"torch.jit._pickle {name}" for name in (
        "restore_type_tag", "build_intlist", "build_doublelist", "build_boollist", "build_tensorlist", "build_tensor_from_id",
    )),
    *(f"torch {name.removeprefix('torch.')}" for name in VALUES if name.endswith("Storage")),
}  # fmt: skip
SCRIPT_NAMES = words(
    """
    CONSTANTS Any Device Dict Enum Final List Module NamedTuple NoneType Optional Tensor Tuple Union abs annotate bool complex dict
    enumerate float getattr hasattr inf infj int isinstance len list max min nan nanj number ops range round self sorted str torch
    tuple unchecked_cast uninitialized zip __annotations__ __torch__
    """
)
