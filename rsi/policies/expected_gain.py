"""Maximise the expected true gain for the compute that is left; what is claimed is certified apart from it."""

from __future__ import annotations

from rsi.history import History
from rsi.policies.belief import Belief, error_of, estimate
from rsi.policies.effects import Effects
from rsi.policies import stopping, learning
from rsi.policies.learning import Learned
from rsi.records import Comparison, Decision, Discard, Keep, Measure, Plan, Propose
import numpy as np
import os
PEN=float(os.environ.get("PEN","0"))
LM=float(os.environ.get("LM","1"))

class ExpectedGain:
    name = "expected-gain"

    def __init__(self) -> None:
        self._learned = None
        self._price_key = None
        self._price = 0.0

    def learned(self, history: History) -> Learned:
        known = self._learned
        if known is None or known.objective != history.objective or list(history.past[: len(known.told)]) != known.told:
            known = self._learned = learning.start(history.objective)
            self._price_key = None
        for past in history.past[len(known.told):]:
            learning.learn(known, past)
        return known

    def price(self, learned, variance, left):
        noise=learned.noise
        key=(len(learned.told)//10, round(np.log(max(variance,1e-6*noise**2)/noise**2)*3))
        if key!=self._price_key:
            self._price_key=key
            errors=[error_of(variance,n,0,noise,0.) for n in (1,*(1+m for m in stopping.MORE))]
            self._price=stopping.price(learned.effects, errors)
        return self._price*LM

    def decide(self, comparison: Comparison, history: History) -> Decision:
        learned = self.learned(history)
        objective = comparison.objective
        side = learning.sign(objective)
        cand=[side*v for v in comparison.candidate.values(objective.metric)]
        ref=[side*v for v in comparison.incumbent.values(objective.metric)]
        parent=learning.heeding(learned, comparison.incumbent.experiment, ref)
        noise=learned.noise
        found=estimate(parent,cand,(),noise,0.)
        post=learned.effects.posterior(found.effect,found.error)
        price=self.price(learned,parent.variance,comparison.trials_left)
        n=len(cand)
        now=max(post.mean-PEN*price,0.0)
        if post.mean-PEN*price<=0 and post.mean+ 0 < 0 and self.evpi(learned,found,post) < price:
            return Discard(rule=self.name,reason="")
        if post.mean>0 and self.evpi(learned,found,post)-max(post.mean,0) < price:
            return Keep(rule=self.name,reason="") if post.mean>PEN*price else Discard(rule=self.name,reason="")
        # plans
        centres=stopping._CENTRES*found.error
        prior=learned.effects.cells(stopping._NODES*found.error)
        joint=prior*np.exp(-.5*((found.effect-centres)/found.error)**2)
        joint/=joint.sum()
        joint=joint[None,:]
        now_g=max(float(joint[0]@centres)-PEN*price,0.0)
        best=now_g; act=None
        left=comparison.trials_left or 10**9
        for m in stopping.MORE:
            if m>left: break
            e=error_of(parent.variance,n+m,0,noise,0.)
            v=float(stopping.improved(joint,centres-PEN*price,found.error,e)[0])-price*m
            if v>best: best,act=v,("candidate",m)
        for m in (1,2,4):
            pv=1/(1/parent.variance+m/noise**2)
            e=error_of(pv,n,0,noise,0.)
            v=float(stopping.improved(joint,centres-PEN*price,found.error,e)[0])-price*m
            if v>best: best,act=v,("incumbent",m)
            e=error_of(pv,n+m,0,noise,0.)
            v=float(stopping.improved(joint,centres-PEN*price,found.error,e)[0])-price*2*m
            if v>best: best,act=v,("candidate",m)
        if act: return Measure(rule=self.name,reason="",arm=act[0],trials=1)
        if now_g>0: return Keep(rule=self.name,reason="")
        return Discard(rule=self.name,reason="")

    def evpi(self, learned, found, post):
        # upper bound: expectation of the positive part
        n=len(learned.effects.scales)
        from rsi.policies.effects import _parts
        d,m,s=_parts(found.effect,found.error,learned.effects.scales)
        return float(post.shares[1:1+n]@m[1:1+n])

    def plan(self, history): return Propose(rule=self.name,reason="")
