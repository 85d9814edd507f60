//! The update rules that there are.

/// How a group's parameters are updated, with the names and numbers of `torch.optim` and of timm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// `torch.optim.AdamW`: decay acts on the parameter (Loshchilov & Hutter 2019, arXiv 1711.05101).
    #[default]
    AdamW,
    /// `torch.optim.Adam`: decay joins the gradient (Kingma & Ba 2015, arXiv 1412.6980).
    Adam,
    /// `torch.optim.SGD`: momentum, dampening, Nesterov's momentum; decay joins the gradient.
    Sgd,
    /// `torch.optim.Adadelta` (Zeiler 2012, arXiv 1212.5701).
    Adadelta,
    /// `torch.optim.Adagrad` (Duchi et al. 2011).
    Adagrad,
    /// `torch.optim.Adamax` (Kingma & Ba 2015, arXiv 1412.6980).
    Adamax,
    /// `torch.optim.NAdam` (Dozat 2016).
    NAdam,
    /// `torch.optim.RAdam` (Liu et al. 2020, arXiv 1908.03265).
    RAdam,
    /// `torch.optim.RMSprop` (Tieleman & Hinton 2012).
    RmsProp,
    /// `timm.optim.Lion` (Chen et al. 2023, arXiv 2302.06675).
    Lion,
    /// `timm.optim.NAdamW`: AdamW with Nesterov's momentum.
    NAdamW,
    /// `timm.optim.Adan` (Xie et al. 2022, arXiv 2208.06677).
    Adan,
    /// `timm.optim.Lamb`: the step is as long as the parameters of its tensor (You et al. 2020, arXiv 1904.00962).
    Lamb,
    /// `timm.optim.Lars`: SGD, whose gradient is as long as the parameters of its tensor (You et al. 2017, arXiv 1708.03888).
    Lars,
    /// `timm.optim.AdamP`: the step has no part along the parameters where these do not matter to the loss (Heo et al. 2021,
    /// arXiv 2006.08217).
    AdamP,
    /// `torch.optim.Muon`: of matrices alone, whose step is made orthogonal (Jordan et al. 2024).
    Muon,
    /// `torch.optim.Adafactor`: of a matrix the second moments of rows and of columns alone are kept (Shazeer & Stern 2018,
    /// arXiv 1804.04235).
    Adafactor,
    /// `schedulefree.AdamWScheduleFree`: an average is evaluated, and needs no schedule (Defazio et al. 2024, arXiv 2405.15682).
    AdamWScheduleFree,
    /// `schedulefree.SGDScheduleFree`.
    SgdScheduleFree,
}
