"""Summary statistics of the Prudential table's inputs, for its stand-in: frequencies, quantiles, missing rates.

Aggregates only (`simulate` explains the form); no row of the competition's data can be had from them.
"""

from attribution_suite.datasets.simulate import parse_columns

_CODES_AND_NUMBERS = """
Product_Info_1 | 1:.97364 2:.02636
Product_Info_3 | 1 10 26 26 26 26 38
Product_Info_4 | 0.0000 0.0769 0.0769 0.2308 0.4872 1.0000 1.0000
Product_Info_5 | 2:.99304 3:.00696
Product_Info_6 | 1:.1632 3:.8368
Product_Info_7 | 1:.97819 2:.00003 3:.02177
Ins_Age | 0.0000 0.0896 0.2388 0.4030 0.5672 0.7164 1.0000
Ht | 0.0000 0.5818 0.6545 0.7091 0.7636 0.8182 1.0000
Wt | 0.0000 0.1632 0.2259 0.2887 0.3452 0.4519 1.0000
BMI | 0.0000 0.3029 0.3855 0.4513 0.5329 0.6998 1.0000
Employment_Info_1 | 0.0000 0.0000 0.0350 0.0600 0.1000 0.2000 1.0000 | .00032
Employment_Info_2 | 1 1 9 9 9 14 38
Employment_Info_3 | 1:.84955 3:.15045
Employment_Info_4 | 0.0000 0.0000 0.0000 0.0000 0.0000 0.0400 1.0000 | .11416
Employment_Info_5 | 2:.85704 3:.14296
Employment_Info_6 | 0.0000 0.0000 0.0600 0.2500 0.5500 1.0000 1.0000 | .18279
InsuredInfo_1 | 1:.79525 2:.20017 3:.00458
InsuredInfo_2 | 2:.99257 3:.00743
InsuredInfo_3 | 1:.01396 2:.06447 3:.27824 4:.01782 5:.0046 6:.21589 7:.0067 8:.31552 9:.00025 10:.01282 11:.06974
InsuredInfo_4 | 2:.11633 3:.88367
InsuredInfo_5 | 1:.98641 3:.01359
InsuredInfo_6 | 1:.59081 2:.40919
InsuredInfo_7 | 1:.98073 3:.01927
Insurance_History_1 | 1:.27239 2:.72761
Insurance_History_2 | 1:.9721 2:.00002 3:.02789
Insurance_History_3 | 1:.4265 2:.00002 3:.57348
Insurance_History_4 | 1:.4687 2:.10389 3:.42741
Insurance_History_5 | 0.0000 0.0001 0.0004 0.0010 0.0020 0.0067 1.0000 | .42768
Insurance_History_7 | 1:.52544 2:.04714 3:.42743
Insurance_History_8 | 1:.26205 2:.42741 3:.31054
Insurance_History_9 | 1:.00808 2:.56447 3:.42744
Family_Hist_1 | 1:.00906 2:.29565 3:.69529
Family_Hist_2 | 0.0000 0.2319 0.3623 0.4638 0.5797 0.7391 1.0000 | .48258
Family_Hist_3 | 0.0000 0.2451 0.4020 0.5196 0.5980 0.6961 1.0000 | .57663
Family_Hist_4 | 0.0000 0.1972 0.3239 0.4225 0.5634 0.7183 0.9437 | .32307
Family_Hist_5 | 0.0000 0.2411 0.4018 0.5089 0.5804 0.6607 1.0000 | .70411
Medical_History_1 | 0 0 2 4 9 27 240 | .14969
Medical_History_2 | 1 16 112 162 418 579 648
Medical_History_3 | 1:.00007 2:.89769 3:.10224
Medical_History_4 | 1:.34513 2:.65487
Medical_History_5 | 1:.99267 2:.00729 3:.00003
Medical_History_6 | 1:.05503 2:.00003 3:.94493
Medical_History_7 | 1:.00879 2:.97014 3:.02107
Medical_History_8 | 1:.02137 2:.91317 3:.06546
Medical_History_9 | 1:.23012 2:.76981 3:.00007
Medical_History_10 | 0 0 8 229 240 240 240 | .99062
Medical_History_11 | 1:.00148 2:.0032 3:.99532
Medical_History_12 | 1:.00002 2:.94337 3:.05662
Medical_History_13 | 1:.11591 2:.00003 3:.88405
Medical_History_14 | 1:.00431 2:.02284 3:.97285
Medical_History_15 | 0 0 17 117 240 240 240 | .75101
Medical_History_16 | 1:.83623 2:.00002 3:.16376
Medical_History_17 | 1:.00002 2:.02196 3:.97802
Medical_History_18 | 1:.94663 2:.0532 3:.00017
Medical_History_19 | 1:.96563 2:.03429 3:.00008
Medical_History_20 | 1:.01494 2:.98505 3:.00002
Medical_History_21 | 1:.89108 2:.10886 3:.00007
Medical_History_22 | 1:.01836 2:.98164
Medical_History_23 | 1:.23593 2:.00002 3:.76405
Medical_History_24 | 0 0 1 8 64 240 240 | .93599
Medical_History_25 | 1:.80901 2:.18701 3:.00397
Medical_History_26 | 1:.00005 2:.19092 3:.80903
Medical_History_27 | 1:.00983 2:.00012 3:.99005
Medical_History_28 | 1:.93284 2:.06711 3:.00005
Medical_History_29 | 1:.22863 2:.00005 3:.77132
Medical_History_30 | 1:.00007 2:.95909 3:.04084
Medical_History_31 | 1:.00736 2:.00002 3:.99262
Medical_History_32 | 0 0 0 0 2 86 240 | .98136
Medical_History_33 | 1:.09769 3:.90231
Medical_History_34 | 1:.15544 2:.00005 3:.84451
Medical_History_35 | 1:.99896 2:.00003 3:.00101
Medical_History_36 | 1:.0115 2:.79753 3:.19097
Medical_History_37 | 1:.06164 2:.93833 3:.00003
Medical_History_38 | 1:.99515 2:.00485
Medical_History_39 | 1:.08462 2:.00003 3:.91534
Medical_History_40 | 1:.01618 2:.00003 3:.98378
Medical_History_41 | 1:.67946 2:.00002 3:.32052
"""
_PRODUCT_INFO_2 = """
A1:.03979 A2:.03324 A3:.01645 A4:.00354 A5:.01305 A6:.03533 A7:.02329 A8:.1151 B1:.00091 B2:.01889
C1:.0048 C2:.00269 C3:.00515 C4:.00369 D1:.11037 D2:.10586 D3:.24117 D4:.18208 E1:.04458
"""
# How often each Medical_Keyword_1 … 48 is 1.
_KEYWORDS = """
.042 .00894 .04928 .01455 .00862 .0126 .01391 .01041 .00665 .03646
.05802 .01 .00596 .00785 .19046 .01271 .00916 .00749 .0093 .00813
.0146 .03717 .09778 .01889 .08946 .01344 .01186 .01494 .01175 .02504
.0109 .02117 .02284 .02065 .00694 .01041 .06659 .00684 .01366 .05695
.01005 .04554 .01071 .00753 .01369 .00849 .01991 .0545
"""

_TABLE = _CODES_AND_NUMBERS.strip().splitlines()
_TABLE.insert(1, "Product_Info_2 | " + " ".join(_PRODUCT_INFO_2.split()))
COLUMNS = parse_columns("\n".join(_TABLE) + "\n" + "".join(
    f"Medical_Keyword_{index} | 0:{1 - float(rate):.5f} 1:{rate}\n"
    for index, rate in enumerate(_KEYWORDS.split(), start=1)))
