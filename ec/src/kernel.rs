//! The inner loops: every output cell is a sum of scaled input cells.
//!
//! Owns: choosing a kernel at run time, the tables each kernel wants, applying a matrix to cells.
//! Leaves to others: which matrix ([`crate::matrix`]), what a call may ask for ([`crate::code`]).
//! Always: every kernel gives the same bytes as [`scalar`]; a SIMD kernel runs only on a processor
//! that was seen to have its instructions; `unsafe` is only in this module and below it.

#![allow(unsafe_code)]
#![deny(clippy::undocumented_unsafe_blocks)]

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod lanes;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::EcError;
use crate::matrix::Matrix;

/// An implementation of the inner loops. All give the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// 64 bytes at a time, `GF2P8AFFINEQB` on AVX-512 registers.
    GfniAvx512,
    /// 32 bytes at a time, `GF2P8AFFINEQB` on AVX2 registers.
    GfniAvx2,
    /// 32 bytes at a time, two table look-ups by `VPSHUFB`.
    Avx2,
    /// 16 bytes at a time, two table look-ups by `TBL` (aarch64).
    Neon,
    /// One byte at a time, on any machine.
    Scalar,
}

impl Kernel {
    /// Every kernel, fastest first.
    pub const ALL: [Self; 5] = [
        Self::GfniAvx512,
        Self::GfniAvx2,
        Self::Avx2,
        Self::Neon,
        Self::Scalar,
    ];

    /// Whether this machine can run it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::GfniAvx512 => {
                is_x86_feature_detected!("gfni") && is_x86_feature_detected!("avx512f")
            }
            #[cfg(target_arch = "x86_64")]
            Self::GfniAvx2 => is_x86_feature_detected!("gfni") && is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            Self::Scalar => true,
            #[allow(
                unreachable_patterns,
                reason = "which patterns are left depends on the target"
            )]
            _ => false,
        }
    }

    /// The fastest kernel that this machine can run.
    #[must_use]
    pub fn fastest() -> Self {
        Self::ALL
            .into_iter()
            .find(|kernel| kernel.is_available())
            .unwrap_or(Self::Scalar)
    }
}

impl std::fmt::Display for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::GfniAvx512 => "gfni-avx512",
            Self::GfniAvx2 => "gfni-avx2",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Scalar => "scalar",
        })
    }
}

/// A matrix in the form that one kernel wants.
///
/// The fields are private to this module, so a value proves that its kernel is available here.
#[derive(Debug)]
pub(crate) struct Transform {
    matrix: Matrix,
    kernel: Kernel,
    tables: Tables,
}

#[derive(Debug)]
enum Tables {
    #[cfg(target_arch = "x86_64")]
    BitMatrices(Vec<u64>),
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    Nibbles(Vec<[u8; 32]>),
    None,
}

impl Transform {
    /// Prepares `matrix` for `kernel`.
    ///
    /// # Errors
    /// [`EcError::KernelUnavailable`] if this machine cannot run it.
    pub(crate) fn new(matrix: Matrix, kernel: Kernel) -> Result<Self, EcError> {
        if !kernel.is_available() {
            return Err(EcError::KernelUnavailable { kernel });
        }
        let tables = match kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::GfniAvx512 | Kernel::GfniAvx2 => {
                Tables::BitMatrices(lanes::tables(&matrix, crate::field::bit_matrix))
            }
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => Tables::Nibbles(lanes::tables(&matrix, crate::field::nibble_products)),
            #[cfg(target_arch = "aarch64")]
            Kernel::Neon => Tables::Nibbles(lanes::tables(&matrix, crate::field::nibble_products)),
            _ => Tables::None,
        };
        Ok(Self {
            matrix,
            kernel,
            tables,
        })
    }

    pub(crate) fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Overwrites each output with the sum of the sources, scaled by that row of the matrix.
    ///
    /// The caller has checked the arguments: there is one source per column, one output per row,
    /// and all are equally long.
    pub(crate) fn apply(&self, sources: &[&[u8]], out: &mut [&mut [u8]]) {
        assert_eq!(
            sources.len(),
            self.matrix.columns(),
            "one source per column"
        );
        assert_eq!(out.len(), self.matrix.row_count(), "one output per row");
        let len = sources[0].len();
        assert!(
            sources.iter().all(|source| source.len() == len),
            "equally long sources"
        );
        assert!(
            out.iter().all(|output| output.len() == len),
            "outputs as long as sources"
        );
        match (self.kernel, &self.tables) {
            #[cfg(target_arch = "x86_64")]
            (Kernel::GfniAvx512, Tables::BitMatrices(tables)) if len >= x86::gfni_avx512::WIDTH => {
                // SAFETY: `new` has seen that this processor has GFNI and AVX-512F.
                unsafe { x86::gfni_avx512::apply(tables, sources, out) }
            }
            #[cfg(target_arch = "x86_64")]
            (Kernel::GfniAvx512 | Kernel::GfniAvx2, Tables::BitMatrices(tables))
                if len >= x86::gfni_avx2::WIDTH && is_x86_feature_detected!("avx2") =>
            {
                // SAFETY: `new` has seen that this processor has GFNI, the guard that it has AVX2.
                unsafe { x86::gfni_avx2::apply(tables, sources, out) }
            }
            #[cfg(target_arch = "x86_64")]
            (Kernel::Avx2, Tables::Nibbles(tables)) if len >= x86::avx2::WIDTH => {
                // SAFETY: `new` has seen that this processor has AVX2.
                unsafe { x86::avx2::apply(tables, sources, out) }
            }
            #[cfg(target_arch = "aarch64")]
            (Kernel::Neon, Tables::Nibbles(tables)) if len >= neon::WIDTH => {
                // SAFETY: `new` has seen that this processor has NEON.
                unsafe { neon::apply(tables, sources, out) }
            }
            _ => scalar::apply(&self.matrix, sources, out),
        }
    }
}
