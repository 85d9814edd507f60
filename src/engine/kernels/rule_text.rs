//! The texts of an update: the shader of all rules, and the arithmetic of one.

/// The shader that imports a rule.
pub(super) const UPDATE: &str = include_str!("../../../shaders/optim/update.wgsl");

/// The shader of the sums that a rule needs, which imports it too.
pub(super) const SUMS: &str = include_str!("../../../shaders/optim/sums.wgsl");

/// The shader of the directions before the update, which imports it too.
pub(super) const DIRECT: &str = include_str!("../../../shaders/optim/direct.wgsl");

/// The shader of the sums over rows, and that of their fold, which import it too.
pub(super) const ROW_SUMS: &str = include_str!("../../../shaders/optim/row_sums.wgsl");
pub(super) const ROW_SUMS_FOLD: &str = include_str!("../../../shaders/optim/row_sums_fold.wgsl");

/// The shaders of a rule that keeps rows and columns: their sums, their fold, the sums over tensors, and the update.
pub(super) const FACTOR_ROWS: &str = include_str!("../../../shaders/optim/factor_rows.wgsl");
pub(super) const FACTOR_COLUMNS: &str = include_str!("../../../shaders/optim/factor_columns.wgsl");
pub(super) const FACTOR_FOLD: &str = include_str!("../../../shaders/optim/factor_fold.wgsl");
pub(super) const FACTOR_SUMS: &str = include_str!("../../../shaders/optim/factor_sums.wgsl");
pub(super) const FACTOR_UPDATE: &str = include_str!("../../../shaders/optim/factor_update.wgsl");

/// The arithmetic of an update rule, as the shader of the update imports it.
pub(super) struct RuleText {
    /// The name of its file.
    pub(super) name: &'static str,
    pub(super) text: &'static str,
    /// Slots of state without any flag.
    pub(super) slots: usize,
    /// Whether its state may rest (`is_idle`).
    pub(super) can_idle: bool,
    /// Whether it looks at the rows of a matrix.
    pub(super) has_rows: bool,
    /// Whether its state of a matrix is rows and columns.
    pub(super) is_factored: bool,
}
